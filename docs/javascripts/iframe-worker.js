// Search runs in a web worker, which browsers refuse to pages opened from a disk (file://). There, and only there, a
// hidden frame runs the worker's script instead. The name of this file tells Zensical not to fetch a shim from a CDN.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.onmessage = null
      this.onerror = null
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)
      const inner = this.frame.contentWindow
      // A worker gets copies of what is sent to it, and changes them.
      inner.postMessage = (message) => {
        const data = structuredClone(message)
        setTimeout(() => this.onmessage && this.onmessage({ data }))
      }
      const script = inner.document.createElement("script")
      script.src = new URL(url, location.href).href
      script.onload = () => {
        const waiting = this.waiting
        this.waiting = null
        waiting.forEach((data) => this.postMessage(data))
      }
      script.onerror = (error) => this.onerror && this.onerror(error)
      inner.document.body.append(script)
    }

    postMessage(message) {
      const data = structuredClone(message)
      if (this.waiting) this.waiting.push(data)
      else setTimeout(() => this.frame.contentWindow?.onmessage({ data }))
    }

    terminate() {
      this.frame.remove()
    }
  }
}
