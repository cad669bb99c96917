"use strict";
// Everything works without this script: each link and the form ask the server. The script asks without leaving the page, and again and
// again by itself.
(() => {
  const parts = ["head", "choices", "fleet"];
  const byId = (id) => document.getElementById(id);
  const search = byId("q");
  let request = null, timer = 0;

  // show fetches an address of this page and puts its parts in the place of those shown.
  async function show(url, remember) {
    if (request) request.abort();
    clearTimeout(timer);
    const own = request = new AbortController();
    try {
      const answer = await fetch(url, {headers: {Accept: "text/html"}, signal: own.signal});
      if (!answer.ok) throw new Error("HTTP status " + answer.status);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!parts.every((id) => next.getElementById(id))) throw new Error("another page answered");
      if (own.signal.aborted) return;
      replace(next);
      if (remember) history[remember](null, "", url);
    } catch (error) {
      if (own.signal.aborted) return;
      lost(error);
    }
    request = null;
    again();
  }

  function replace(next) {
    const focused = document.activeElement && document.activeElement.id;
    for (const id of parts) byId(id).replaceWith(document.adoptNode(next.getElementById(id)));
    document.title = next.title;
    document.body.classList.remove("lost");
    if (focused !== "q") search.value = next.getElementById("q").value;
    if (focused && document.activeElement.id !== focused && byId(focused)) byId(focused).focus({preventScroll: true});
  }

  // lost says that what is shown is old, because the exporter does not answer.
  function lost(error) {
    const text = byId("lost");
    if (text.hidden) {
      text.textContent = "The exporter has not answered since " + new Date().toISOString().slice(0, 19).replace("T", " ") +
        " UTC (" + error.message + "). This is older data.";
    }
    text.hidden = false;
    document.body.classList.add("lost");
  }

  function again() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const reading = document.hidden || String(getSelection()) || document.activeElement.matches("select");
      if (reading) again(); else show(location.href);
    }, 1000 * byId("head").dataset.refresh);
  }

  function asked() {
    const values = [...new FormData(byId("filter"))].filter(([, value]) => value !== "");
    return "?" + new URLSearchParams(values);
  }

  addEventListener("click", (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    let link = event.target.closest("a");
    const row = event.target.closest("tr.instance");
    if (!link && row && !String(getSelection())) link = row.querySelector("a.toggle");
    if (!link || !link.closest("#head, #choices, #fleet") || link.relList.contains("noreferrer")) return;
    event.preventDefault();
    if (link.id === "clear") search.value = "";
    show(link.href, "pushState");
  });
  search.addEventListener("input", () => show(asked(), "replaceState"));
  addEventListener("change", (event) => {
    if (event.target.matches("select")) show(asked(), "pushState");
  });
  addEventListener("submit", (event) => {
    event.preventDefault();
    show(asked(), "pushState");
  });
  addEventListener("popstate", () => show(location.href));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) show(location.href); // what was shown may be hours old
  });
  again();
})();
