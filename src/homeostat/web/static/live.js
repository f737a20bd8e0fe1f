// Keeps the page alive: one event stream, parts fetched again when they changed, news read aloud.
// It holds no state of its own: every part is rendered by the server.
"use strict";

(() => {
  const main = document.getElementById("main");
  const base = main.dataset.path;
  const database = main.dataset.database;
  // a page that is one view says which events change it, and how often it may be asked for
  const viewed = "events" in main.dataset;
  const heeded = new Set((main.dataset.events || "").split(" "));
  const every = Number(main.dataset.every || 0) * 1000;
  const SILENT_MS = 16000; // three missed beats of 5 s
  const GATHER_MS = 60; // events that come together are fetched together
  const RETRY_MS = 3000;
  const PARTS_OF = {
    tick: ["state", "pools", "traffic"],
    finding: ["state", "findings"],
    remedy: ["state", "remedies", "log"],
    run: ["remedies"],
    step: ["remedies"],
    database: ["state", "remedies"],
    audit: ["log", "troubles"],
    note: ["state"],
  };
  const ENDINGS = {
    waiting: "waits for your decision",
    rehearsing: "is being rehearsed",
    applying: "is being applied",
    verifying: "is applied and being measured",
    kept: "helped and was kept",
    reverted: "was undone",
    ineffective: "did not help and was undone",
    failed: "failed",
    refused: "was not applied",
    rejected: "was rejected",
    asking: "needs you",
  };
  const title = document.title;

  // -- parts

  let wanted = new Set();
  let busy = false;
  let timer = 0;

  function refresh(names) {
    // troubles are on the demo's page only
    names.filter((name) => viewed || !database || document.getElementById(name))
      .forEach((name) => wanted.add(name));
    if (!timer && !busy) timer = setTimeout(fetchParts, GATHER_MS);
  }

  async function fetchParts() {
    timer = 0;
    if (!wanted.size) return;
    const names = [...wanted];
    wanted = new Set();
    busy = true;
    try {
      if (viewed) await here();
      else if (database) await ask(`${base}/parts/${names.join("+")}`);
      else await htmx.ajax("GET", main.dataset.list, { target: "#databases", swap: "innerMorph" });
    } finally {
      busy = false;
      if (wanted.size) refresh([]);
    }
  }

  const ask = (path) => htmx.ajax("GET", path, { source: "#refresher", swap: "none" });
  let shown = Date.now();
  let late = 0;

  function refreshView() {
    // what comes too early is shown when its time has come: no other event may follow
    const left = every - (Date.now() - shown);
    if (left <= 0) refresh(["view"]);
    else late ||= setTimeout(() => {
      late = 0;
      refresh(["view"]);
    }, left);
  }

  async function showView(path) {
    const view = document.getElementById("view");
    view?.setAttribute("aria-busy", "true"); // it fades only when it takes long
    try {
      await ask(path);
    } finally {
      view?.removeAttribute("aria-busy");
      shown = Date.now();
    }
  }

  // -- other ranges and orders of the same view come without a reload; each has its own address

  document.addEventListener("click", async (event) => {
    const link = event.target.closest?.("a[data-here]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    history.pushState(null, "", link.href);
    await showView(link.pathname + link.search);
    say(`${link.textContent.trim()} is shown.`);
  });
  document.addEventListener("homeostat:go", async (event) => {
    history.pushState(null, "", event.detail);
    await here();
  });
  const here = () => showView(location.pathname + location.search);
  window.addEventListener("popstate", () => viewed && here());

  // on a phone the strips of tabs and choices are wider than the page: begin at what is shown
  for (const current of document.querySelectorAll(".tabs [aria-current], .ranges [aria-current]")) {
    const strip = current.closest("ul, nav");
    const [whole, part] = [strip, current].map((one) => one.getBoundingClientRect());
    strip.scrollLeft += part.left + part.width / 2 - whole.left - whole.width / 2;
  }

  const everything = () => refresh([...new Set(Object.values(PARTS_OF).flat())]);

  document.body.addEventListener("htmx:after:swap", () => {
    showTimes();
    showTitle();
    keepFocus();
    document.dispatchEvent(new CustomEvent("homeostat:parts"));
  });

  // -- times in the reader's own zone

  // 24 hours on every machine: logs and colleagues say 21:55, never 9:55
  const day = { day: "numeric", month: "short" };
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const today = new Intl.DateTimeFormat(undefined, time);
  const other = new Intl.DateTimeFormat(undefined, { ...day, ...time });

  function showTimes() {
    const now = new Date().toDateString();
    for (const element of document.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      const text = (at.toDateString() === now ? today : other).format(at);
      if (element.textContent !== text) element.textContent = text;
      element.title = element.dateTime;
    }
  }

  // -- what waits is seen from another tab

  function showTitle() {
    const state = document.querySelector(".state");
    const waiting = Number(state?.dataset.waiting || 0);
    const mark = waiting ? `(${waiting}) ` : state?.dataset.tone === "bad" ? "! " : "";
    if (document.title !== mark + title) document.title = mark + title;
  }

  // -- keyboard: `a` goes to the first decision; Enter on a button is the browser's own

  let focused = null;

  document.addEventListener("focusin", (event) => {
    focused = event.target.closest("[data-remedy]")?.dataset.remedy || null;
  });

  function keepFocus() {
    // a button that was pressed is gone with its decision: stay at its remedy
    if (focused && document.activeElement === document.body) {
      document.querySelector(`#${CSS.escape(focused)} h3`)?.focus({ preventScroll: true });
    }
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      document.getElementById("search")?.focus();
      return;
    }
    if (event.key !== "a" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = document.querySelector("button.approve");
    if (button) {
      event.preventDefault();
      button.focus();
      button.scrollIntoView({ block: "center", behavior: "instant" });
    } else {
      say("No decision waits.");
    }
  });

  // -- news for those who listen

  function say(text) {
    document.getElementById("news").textContent = text;
  }

  function tell(kind, row) {
    if (kind === "finding") {
      if (row.state === "cleared") say(`Cleared: ${row.what}`);
      else if (row.opened === row.updated) say(`Found: ${row.what}`);
    } else if (kind === "remedy" && ENDINGS[row.state]) {
      say(`${row.title} ${ENDINGS[row.state]}.`);
    }
  }

  document.body.addEventListener("htmx:error", () => {
    const notice = document.getElementById("notice");
    notice.textContent = "";
    const line = document.createElement("p");
    line.className = "notice";
    line.textContent = "The operator could not be reached. What you asked for was not confirmed.";
    notice.append(line);
  });

  // -- the stream

  let source = null;
  let last = Number(main.dataset.sequence);
  let heard = Date.now();
  let again = 0;
  let cutSince = 0;

  function connect() {
    again = 0;
    source?.close();
    const only = database ? `&database=${encodeURIComponent(database)}` : "";
    source = new EventSource(`/api/v1/events?after=${last}${only}`);
    source.onopen = () => {
      if (cutSince) {
        document.getElementById("notice").textContent = "";
        everything();
      }
      alive();
    };
    source.onerror = () => {
      cut("The operator does not answer; trying again by itself.");
      if (source.readyState === EventSource.CLOSED) later();
    };
    source.addEventListener("beat", (event) => alive(event));
    source.addEventListener("reset", (event) => {
      alive(event);
      everything();
    });
    for (const kind of Object.keys(PARTS_OF)) {
      source.addEventListener(kind, (event) => {
        alive(event);
        if (!viewed) refresh(PARTS_OF[kind]);
        else if (heeded.has(kind)) refreshView();
        const data = JSON.parse(event.data);
        if (kind !== "tick") tell(kind, data.data);
        else document.dispatchEvent(new CustomEvent("homeostat:tick", { detail: data }));
      });
    }
  }

  function later() {
    // the browser gave up by itself: signed out, too many streams, or a stopping operator
    if (again) return;
    again = setTimeout(connect, RETRY_MS);
    fetch("/api/v1/status", { headers: { accept: "application/json" } })
      .then((answer) => {
        if (answer.status === 401) cut("Your sign-in is over. Open a new sign-in link.");
        if (answer.ok) cut("Too many pages of this operator are open; trying again by itself.");
      })
      .catch(() => {});
  }

  function alive(event) {
    heard = Date.now();
    if (event?.lastEventId) last = Number(event.lastEventId);
    if (event?.type === "reset") last = Number(event.lastEventId || 0);
    cutSince = 0;
    delete document.body.dataset.cut;
    document.getElementById("cut").hidden = true;
    show("live", "Live");
  }

  function cut(text) {
    const first = !cutSince;
    cutSince ||= Date.now();
    const then = `${text} What you see is from ${today.format(heard)}.`;
    document.getElementById("cut-text").textContent = then;
    document.getElementById("cut").hidden = false;
    document.body.dataset.cut = "";
    if (first) document.dispatchEvent(new CustomEvent("homeostat:parts"));
    show("cut", "Cut off");
  }

  function show(state, text) {
    const element = document.getElementById("live");
    element.dataset.state = state;
    const label = document.getElementById("live-text");
    if (label.textContent !== text) label.textContent = text;
  }

  setInterval(() => {
    const silent = Date.now() - heard;
    if (silent > SILENT_MS && !again) {
      cut(`Nothing was heard from the operator for ${Math.round(silent / 1000)} s.`);
      connect();
    }
  }, 4000);

  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => event.persisted && connect());
  showTimes();
  showTitle();
  connect();
})();
