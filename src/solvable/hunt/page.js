"use strict";
(() => {
  // Checks guesses as `sealing.py` and `play.py` do, with the browser's own cryptography. Nothing leaves the page.
  const CODE_LETTERS = 10;
  const META = "M";
  const LINE = "solvable-hunt-1.";
  const NO_TEAM = "Write your team's name on the front page, and its finish code appears here.";

  const hunt = JSON.parse(document.getElementById("hunt").textContent);
  const storage = `solvable hunt ${hunt.id}`;
  const keys = {}; // puzzle -> key of its right answer
  let kept = true; // whether the browser stores progress
  let state = read() ?? blank();

  const one = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const section = (id) => one(`section[data-puzzle="${id}"]`);

  // Bytes and text.
  const encoded = (text) => new TextEncoder().encode(text);
  const decoded = (bytes) => new TextDecoder().decode(bytes);
  const from64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const to64 = (bytes) => btoa(String.fromCharCode(...bytes));
  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const joined = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
  const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

  function base32(bytes) {
    const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
    return bits.match(/.{5}/g).map((five) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[parseInt(five, 2)]).join("");
  }

  // The boxes.
  const letters = (guess) => guess.normalize("NFKD").toUpperCase().replace(/[^A-Z]/g, "");

  async function derived(puzzle, word) {
    const material = await crypto.subtle.importKey("raw", encoded(word), "PBKDF2", false, ["deriveBits"]);
    const rule = { name: "PBKDF2", hash: "SHA-256", salt: encoded(hunt.salt + puzzle), iterations: hunt.iterations };
    const key = new Uint8Array(await crypto.subtle.deriveBits(rule, material, 512));
    return { tag: hex(key.slice(0, 16)), secret: key.slice(16, 48), code: key.slice(48, 64) };
  }

  async function masked(text, secret) {
    const found = new Uint8Array(text.length);
    for (let start = 0; start < text.length; start += 32) {
      const counter = new Uint8Array(4);
      new DataView(counter.buffer).setUint32(0, start / 32);
      const stream = await sha256(joined(secret, counter));
      for (let i = start; i < Math.min(start + 32, text.length); i++) found[i] = text[i] ^ stream[i - start];
    }
    return found;
  }

  async function opened(puzzle, key) {
    const box = hunt.puzzles[puzzle].find((candidate) => candidate.tag === key.tag);
    return box ? JSON.parse(decoded(await masked(from64(box.box), key.secret))) : null;
  }

  function* combinations(items, size) {
    if (size === 0) yield [];
    for (let i = 0; i + size <= items.length; i++) {
      for (const rest of combinations(items.slice(i + 1), size - 1)) yield [items[i], ...rest];
    }
  }

  async function nouns() {
    const feeders = Object.keys(keys).filter((id) => id !== META).sort();
    for (const some of combinations(feeders, hunt.needed)) {
      const combined = await sha256(joined(...some.map((id) => keys[id].secret)));
      const secret = await masked(from64(hunt.meta.keys[some.join(" ")]), combined);
      if (hex(await sha256(secret)) === hunt.meta.check) {
        return JSON.parse(decoded(await masked(from64(hunt.meta.box), secret)));
      }
    }
    return null;
  }

  // Case folding and blanks as in Python: letters that fold to more than their lower case are in a table.
  function teamName() {
    const folded = [...state.team.normalize("NFKC")].map((letter) => hunt.folds[letter] ?? letter.toLowerCase());
    return folded.join("").split(/(?:(?!\ufeff)[\s\x1c-\x1f\x85])+/).filter(Boolean).join(" ");
  }

  async function finishCode(key, name) {
    const rule = { name: "HMAC", hash: "SHA-256" };
    const secret = await crypto.subtle.importKey("raw", key.code, rule, false, ["sign"]);
    const digest = await crypto.subtle.sign("HMAC", secret, encoded(name));
    return base32(new Uint8Array(digest)).slice(0, CODE_LETTERS);
  }

  // Progress: in the browser's storage where there is one, and as a line of text.
  function blank() {
    return { answers: {}, hints: {}, team: "" };
  }

  function cleaned(found) {
    const clean = blank();
    for (const id of hunt.ids) {
      const [word, read] = [found?.answers?.[id], found?.hints?.[id]];
      if (typeof word === "string" && /^[A-Z]+$/.test(word) && word.length <= hunt.longest) clean.answers[id] = word;
      if (Number.isInteger(read) && read > 0) clean.hints[id] = Math.min(read, hunt.hints[id]);
    }
    if (typeof found?.team === "string") clean.team = found.team;
    return clean;
  }

  function read() {
    if (!kept) return null;
    try {
      return cleaned(JSON.parse(localStorage.getItem(storage)));
    } catch {
      return null;
    }
  }

  // Another tab may have written meanwhile: each change is made to what is stored now.
  function update(change) {
    state = read() ?? state;
    change(state);
    try {
      localStorage.setItem(storage, JSON.stringify(state));
    } catch {
      kept = false;
      one("#not-kept").hidden = false;
    }
    showProgress();
  }

  const progressLine = () => LINE + to64(encoded(JSON.stringify(state)));

  function imported(line) {
    const text = line.trim();
    if (!text.startsWith(LINE)) return "This is not a line of progress of this hunt.";
    let found;
    try {
      found = cleaned(JSON.parse(decoded(from64(text.slice(LINE.length)))));
    } catch {
      return "This line is not whole; copy it again from its first letter to its last.";
    }
    update((now) => {
      now.answers = { ...found.answers, ...now.answers };
      for (const id in found.hints) now.hints[id] = Math.max(found.hints[id], now.hints[id] ?? 0);
      now.team = now.team || found.team;
    });
    const count = Object.keys(found.answers).length;
    return `Imported: ${count} answer${count === 1 ? "" : "s"}.`;
  }

  // What is shown.
  function showProgress() {
    const solved = hunt.ids.filter((id) => id in state.answers);
    for (const mark of all("[data-mark]")) mark.textContent = mark.dataset.mark in state.answers ? "✓ solved" : "";
    for (const count of all("[data-hints]")) {
      count.textContent = `${state.hints[count.dataset.hints] ?? 0} of ${hunt.hints[count.dataset.hints]}`;
    }
    if (one("#solved")) one("#solved").textContent = `${solved.length} of ${hunt.ids.length} solved`;
    if (one("#line")) one("#line").value = progressLine();
    if (one("#team") && document.activeElement !== one("#team")) one("#team").value = state.team;
  }

  async function showCodes() {
    for (const id in keys) {
      const code = section(id)?.querySelector(".code");
      if (!code) continue;
      const [name, shown] = [teamName(), state.team.trim()];
      if (!(id in state.answers)) code.textContent = "";
      else if (name) code.textContent = `Finish code of ${shown}: ${await finishCode(keys[id], name)}`;
      else code.textContent = hunt.event ? NO_TEAM : "";
    }
  }

  function show(id, kind, text, solution = "") {
    const verdict = section(id).querySelector(".verdict");
    verdict.replaceChildren();
    verdict.dataset.kind = kind;
    const lead = { right: "✓ Right. ", close: "≈ Close. ", wrong: "✗ Wrong. " }[kind] ?? "";
    for (const line of [lead + text, solution].filter(Boolean)) {
      verdict.appendChild(document.createElement("p")).textContent = line;
    }
  }

  function showRight(id, said) {
    show(id, "right", `${state.answers[id]}: ${said.say}`, said.solution);
  }

  async function showMeta() {
    const meta = section(META);
    if (!meta) return;
    const count = Object.keys(state.answers).filter((id) => id !== META).length;
    const waiting = count >= hunt.needed ? await nouns() : null;
    meta.querySelector(".waits").hidden = waiting !== null;
    meta.querySelector(".opens").hidden = waiting === null;
    meta.querySelector(".count").textContent = `You have ${count}.`;
    meta.querySelector(".nouns").replaceChildren(
      ...(waiting ?? []).map((noun) => {
        const item = document.createElement("li");
        item.textContent = noun;
        return item;
      }),
    );
  }

  // Answers that this page cannot check, those of other pages, are only used to open the meta.
  async function restore() {
    for (const [id, word] of Object.entries(state.answers)) {
      const here = id in hunt.puzzles;
      if (keys[id] || !(here || hunt.meta)) continue;
      const key = await derived(id, word);
      const said = here ? await opened(id, key) : null;
      if (here && said?.verdict !== "right") {
        update((now) => delete now.answers[id]);
        continue;
      }
      keys[id] = key;
      if (here) showRight(id, said);
    }
    await showMeta();
    await showCodes();
  }

  async function check(id, guess) {
    const word = letters(guess);
    if (!word || word.length > hunt.longest) {
      const count = `${word.length} letter${word.length === 1 ? "" : "s"}`;
      show(id, "none", `This has ${count} from A to Z; expected a word or two, of at most ${hunt.longest} letters.`);
      return;
    }
    show(id, "none", "Checking …");
    const key = await derived(id, word);
    const said = await opened(id, key);
    if (said?.verdict === "right") {
      keys[id] = key;
      update((now) => (now.answers[id] = word));
      showRight(id, said);
      await showMeta();
      await showCodes();
    } else if (said) {
      show(id, "close", said.say);
    } else {
      show(id, "wrong", "Guesses are never limited, and the hints help.");
    }
  }

  for (const form of all("form[data-puzzle]")) {
    let busy = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (busy) return;
      busy = true;
      // Silent until now, so that what is restored at the start is not read aloud.
      section(form.dataset.puzzle).querySelector(".verdict").setAttribute("aria-live", "polite");
      try {
        await check(form.dataset.puzzle, form.elements.guess.value);
      } finally {
        busy = false;
      }
    });
  }
  for (const hint of all("details[data-hint]")) {
    hint.addEventListener("toggle", () => {
      const { puzzle, hint: number } = hint.dataset;
      // What is read after the answer is no help.
      if (hint.open && !(puzzle in state.answers) && (state.hints[puzzle] ?? 0) < Number(number)) {
        update((now) => (now.hints[puzzle] = Math.max(Number(number), now.hints[puzzle] ?? 0)));
      }
    });
  }
  one("#team")?.addEventListener("input", () => {
    update((now) => (now.team = one("#team").value));
    showCodes();
  });
  one("#team-form")?.addEventListener("submit", (event) => event.preventDefault());
  one("#line")?.addEventListener("focus", () => one("#line").select());
  one("#import")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const input = event.target.elements.line;
    one("#imported").textContent = imported(input.value);
    input.value = "";
    if (crypto.subtle) await restore();
  });
  one("#reset")?.addEventListener("click", () => {
    if (!confirm("Forget the answers, hints and team that this browser keeps?")) return;
    update((now) => Object.assign(now, blank()));
    location.reload();
  });
  window.addEventListener("storage", (event) => {
    if (event.key !== storage) return;
    state = read() ?? state;
    showProgress();
    if (crypto.subtle) restore();
  });

  showProgress();
  if (crypto.subtle) {
    restore();
  } else {
    one("#unchecked").hidden = false;
    for (const control of all("form[data-puzzle] :is(input, button)")) control.disabled = true;
  }
})();
