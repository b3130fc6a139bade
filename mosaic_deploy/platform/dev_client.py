"""The script in the pages of a dev session: it swaps style sheets, reloads, and shows what is broken."""

from __future__ import annotations

SCRIPT = r"""
(() => {
  "use strict";
  if (window.__mosaicDev) return;
  window.__mosaicDev = true;
  let version = null, overlay = null;

  const show = (lines) => {
    hide();
    overlay = document.createElement("div");
    overlay.id = "mosaic-dev-overlay";
    const root = overlay.attachShadow({ mode: "open" });
    const frame = document.createElement("div");
    frame.setAttribute("role", "alert");
    frame.style.cssText = "position:fixed;inset:0;z-index:2147483647;overflow:auto;padding:2rem;margin:0;" +
      "background:rgba(20,20,26,.94);color:#f4f4f6;font:14px/1.5 ui-monospace,monospace;text-align:left";
    const text = document.createElement("pre");
    text.style.cssText = "white-space:pre-wrap;overflow-wrap:anywhere;margin:0 0 1rem";
    text.textContent = lines.join("\n");
    const close = document.createElement("button");
    close.textContent = "Hide";
    close.onclick = hide;
    frame.append(text, close);
    root.append(frame);
    document.documentElement.append(overlay);
  };

  const hide = () => {
    if (overlay) overlay.remove();
    overlay = null;
  };

  const swap = (paths) => {
    const sheets = [...document.querySelectorAll('link[rel~="stylesheet"][href]')]
      .filter((link) => new URL(link.href).origin === location.origin);
    const named = sheets.filter((link) => paths.includes(decodeURIComponent(new URL(link.href).pathname).slice(1)));
    // A sheet that another one imports has no link of its own.
    const all = named.length === paths.length ? named : sheets;
    if (all.length === 0) return;
    for (const link of all) {
      const next = link.cloneNode();
      const url = new URL(link.href);
      url.searchParams.set("__mosaic_dev", String(Date.now()));
      next.href = url.href;
      next.onload = next.onerror = () => link.remove();
      link.after(next);
    }
  };

  const heard = (message) => {
    if (message.type === "hello") {
      if (version !== null && version !== message.version) return location.reload();
      version = message.version;
      if (message.error) show(message.error); else hide();
    } else if (message.type === "live") {
      version = message.version;
      const paths = message.paths;
      if (paths.length > 0 && paths.every((path) => path.endsWith(".css"))) swap(paths);
      else location.reload();
    } else if (message.type === "broken") show(message.error);
    else if (message.type === "mended") hide();
  };

  const listen = () => {
    const source = new EventSource("/__mosaic_dev/events");
    source.onmessage = (event) => heard(JSON.parse(event.data));
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      // The session is over, or hasn't begun again.
      setTimeout(listen, 2000);
    };
  };
  listen();
})();
"""
