"""What commands of the command line share: how they print, what their options hold, and those that serve all wings."""
