"use strict";
(() => {
  const form = document.getElementById("filters");
  const list = document.getElementById("findings");
  const none = document.getElementById("none");
  const count = document.getElementById("count");
  const openAll = document.getElementById("open");
  const fields = {};
  for (const field of form.querySelectorAll("[data-filter]")) fields[field.dataset.filter] = field;

  const items = Array.from(list.querySelectorAll("details.f"), (node, order) => {
    const place = node.querySelector("code").textContent;
    return {
      node,
      order,
      place,
      path: place.replace(/(:\d+){2}$/, "").toLowerCase(),
      severity: /\bs(\d)\b/.exec(node.className)[1],
      rule: node.dataset.r,
      name: node.querySelector("i").textContent,
      tool: node.dataset.t || "tavo",
      ignored: node.classList.contains("i"),
      text: null,
      shown: true,
    };
  });
  const ignored = items.filter((item) => item.ignored).length;
  const number = new Intl.NumberFormat("en");
  if (!ignored) document.getElementById("ignored").hidden = true;
  let order = "";

  const value = (name) => (fields[name] ? fields[name].value : "");

  const ofRule = (rule, name) => document.querySelector(`#r${rule} > .${name}`);
  const messages = {};

  // In a long page the message that most findings of a rule share stands with the rule.
  function usual(rule) {
    if (!(rule in messages)) {
      const said = ofRule(rule, "said");
      messages[rule] = said ? ` ${said.textContent}` : "";
    }
    return messages[rule];
  }

  function fits(item, wanted) {
    if (wanted.s && item.severity !== wanted.s) return false;
    if (wanted.r && item.rule !== wanted.r) return false;
    if (wanted.t && item.tool !== wanted.t) return false;
    if (wanted.i === "only" ? !item.ignored : item.ignored && wanted.i !== "all") return false;
    if (wanted.p === "./" ? item.path.includes("/") : wanted.p && !item.path.includes(wanted.p)) return false;
    if (wanted.words.length) {
      if (item.text === null) item.text = (item.node.textContent + usual(item.rule)).toLowerCase();
      for (const word of wanted.words) if (!item.text.includes(word)) return false;
    }
    return true;
  }

  function apply() {
    const wanted = {
      s: value("s"), r: value("r"), t: value("t"), i: value("i"),
      p: value("p").trim().toLowerCase(),
      words: value("q").toLowerCase().split(/\s+/).filter(Boolean),
    };
    let shown = 0;
    for (const item of items) {
      const show = fits(item, wanted);
      if (show !== item.shown) {
        item.node.hidden = !show;
        item.shown = show;
      }
      if (show) shown += 1;
    }
    sort(value("o"));
    none.hidden = shown > 0 || !items.length;
    count.textContent = `${number.format(shown)} of ${number.format(items.length)} findings`;
    for (const node of document.querySelectorAll("[role=button]")) {
      node.setAttribute("aria-pressed", String(pressed(node)));
    }
    remember();
  }

  function sort(wanted) {
    if (wanted === order) return;
    order = wanted;
    const key = wanted === "p" ? "place" : "name";
    const sorted = items.slice().sort((a, b) => {
      if (!wanted || a[key] === b[key]) return a.order - b.order;
      return a[key] < b[key] ? -1 : 1;
    });
    const all = document.createDocumentFragment();
    for (const item of sorted) all.append(item.node);
    list.insertBefore(all, none);
  }

  // The bars and tiles set the filter that they show.
  function filterOf(node) {
    const name = node.dataset.filter;
    let wanted = node.dataset.value;
    if (name === "r") {
      const option = Array.from(fields.r.options).find((one) => one.text === wanted);
      wanted = option ? option.value : "";
    }
    if (name === "p" && wanted !== "./") wanted += "/";
    return [name, wanted];
  }

  function pressed(node) {
    const [name, wanted] = filterOf(node);
    return wanted !== "" && value(name) === wanted;
  }

  function choose(node) {
    const [name, wanted] = filterOf(node);
    fields[name].value = value(name) === wanted ? "" : wanted;
    apply();
  }

  for (const node of document.querySelectorAll("li[data-filter]")) {
    if (node.classList.contains("none")) continue;
    node.setAttribute("role", "button");
    node.parentNode.setAttribute("role", "group");
    node.tabIndex = 0;
    node.addEventListener("click", () => choose(node));
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(node);
      }
    });
  }

  // An opened finding says how to mend it, in place.
  list.addEventListener("toggle", (event) => {
    const node = event.target;
    if (!node.open || node.dataset.told) return;
    node.dataset.told = "1";
    const said = ofRule(node.dataset.r, "said");
    if (said && !node.querySelector(".said")) node.firstChild.after(said.cloneNode(true));
    const help = ofRule(node.dataset.r, "help");
    if (help && help.textContent.trim()) node.append(help.cloneNode(true));
  }, true);

  openAll.addEventListener("click", () => {
    const shown = items.filter((item) => item.shown).slice(0, 500);
    const open = shown.some((item) => !item.node.open);
    for (const item of shown) item.node.open = open;
    openAll.textContent = open ? "Close all" : "Open all";
  });

  // The filters stand in the address, so that a view can be sent to somebody.
  function remember() {
    const state = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) if (field.value) state.set(name, field.value);
    const text = state.toString();
    if (text || location.hash.includes("=")) {
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    }
  }

  function recall() {
    if (!location.hash.includes("=")) return;
    for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
      if (fields[name]) fields[name].value = text;
    }
  }

  let waiting = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    if (event.target.type === "search") waiting = setTimeout(apply, 120);
    else apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing) {
      event.preventDefault();
      fields.q.focus();
    }
    if (event.key === "Escape" && event.target === fields.q) {
      fields.q.value = "";
      apply();
    }
  });
  addEventListener("beforeprint", () => {
    const shown = items.filter((item) => item.shown);
    if (shown.length <= 300) for (const item of shown) item.node.open = true;
  });

  form.hidden = !items.length;
  recall();
  apply();
})();
