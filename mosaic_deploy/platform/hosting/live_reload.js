// Runs in a project's pages while `mosaic-deploy dev` follows edits: reloads them, and shows errors over them.
(() => {
  "use strict";
  if (window.__mosaicDev) return;
  window.__mosaicDev = true;
  let version = null, overlay = null;

  const showOverlay = (lines) => {
    hideOverlay();
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
    close.onclick = hideOverlay;
    frame.append(text, close);
    root.append(frame);
    document.documentElement.append(overlay);
  };

  const hideOverlay = () => {
    if (overlay) overlay.remove();
    overlay = null;
  };

  const swapStylesheets = (paths) => {
    const sheets = [...document.querySelectorAll('link[rel~="stylesheet"][href]')]
      .filter((link) => new URL(link.href).origin === location.origin);
    const changed = sheets.filter((link) => paths.includes(decodeURIComponent(new URL(link.href).pathname).slice(1)));
    // An @import-ed stylesheet has no link of its own: reload them all.
    const reloaded = changed.length === paths.length ? changed : sheets;
    if (reloaded.length === 0) return;
    for (const link of reloaded) {
      const next = link.cloneNode();
      const url = new URL(link.href);
      url.searchParams.set("__mosaic_dev", String(Date.now()));
      next.href = url.href;
      next.onload = next.onerror = () => link.remove();
      link.after(next);
    }
  };

  const onMessage = (message) => {
    if (message.type === "hello") {
      if (version !== null && version !== message.version) return location.reload();
      version = message.version;
      if (message.error) showOverlay(message.error); else hideOverlay();
    } else if (message.type === "deployed") {
      version = message.version;
      const paths = message.paths;
      if (paths.length > 0 && paths.every((path) => path.endsWith(".css"))) swapStylesheets(paths);
      else location.reload();
    } else if (message.type === "error") showOverlay(message.error);
    else if (message.type === "resolved") hideOverlay();
  };

  const listen = () => {
    const source = new EventSource("/__mosaic_dev/events");
    source.onmessage = (event) => onMessage(JSON.parse(event.data));
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      // The session ended, or hasn't started again yet.
      setTimeout(listen, 2000);
    };
  };
  listen();
})();
