"use strict";

const $ = id => document.getElementById(id);
let picture = null; // data URL of the picture to search with
let server = {};    // what /v1/info says
let running = new AbortController();
let urls = [];      // of the images shown, to be given back

// The token lives as long as the tab.
function askToken() {
  return new Promise(resolve => {
    $("ask").onclose = () => {
      sessionStorage.setItem("token", $("token").value);
      $("token").value = "";
      resolve();
    };
    if (!$("ask").open) $("ask").showModal();
  });
}
let asking = null;

// call asks the server, again where it is busy or wants the token.
async function call(path, options = {}, tries = 4) {
  const token = sessionStorage.getItem("token");
  const headers = {...options.headers, ...(token && {Authorization: "Bearer " + token})};
  const answer = await fetch(path, {...options, headers});
  if (answer.ok) return answer;
  if (answer.status === 401) {
    asking ??= askToken().finally(() => asking = null);
    await asking;
    return call(path, options, tries);
  }
  if (answer.status === 429 && tries > 1) {
    await new Promise(done => setTimeout(done, 1000 * (answer.headers.get("Retry-After") || 1)));
    return call(path, options, tries - 1);
  }
  const body = await answer.json().catch(() => ({}));
  throw new Error(body.error?.message || `the server answered ${answer.status}`);
}

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

async function about() {
  server = await (await call("v1/info")).json();
  const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
  $("about").textContent = `${count(server.items, "item")}, ${count(server.images, "image")}, ${count(server.texts, "text")}`;
}

function terms() {
  const out = [];
  const text = $("text").value.trim(), minus = $("minus").value.trim();
  if (text) out.push({text});
  if (picture) out.push({image: picture});
  if (out.length && minus) out.push({text: minus, weight: -0.5});
  return out;
}

async function search() {
  running.abort();
  const mine = running = new AbortController();
  const query = {terms: terms(), in: $("in").value, fusion: $("fusion").value,
    k: Math.min(Number($("k").value), server.max_k || Infinity)};
  if (!query.terms.length) {
    say("Type something, or drop a picture.");
    return;
  }
  const text = $("text").value.trim();
  $("hits").classList.add("busy");
  say("Searching…");
  const start = performance.now();
  try {
    const answer = await call("v1/search", {method: "POST", signal: mine.signal,
      headers: {"Content-Type": "application/json"}, body: JSON.stringify(query)});
    const {hits} = await answer.json();
    urls.forEach(URL.revokeObjectURL);
    urls = [];
    $("hits").replaceChildren(...hits.map(hit => card(hit, text, mine.signal)));
    scrollTo(0, 0); // a picture may be dropped anywhere
    say(hits.length ? `${hits.length} ${hits.length === 1 ? "hit" : "hits"} in ${Math.round(performance.now() - start)} ms` : "Nothing was found.");
  } catch (err) {
    if (err.name !== "AbortError") say(err.message, true);
  } finally {
    if (running === mine) $("hits").classList.remove("busy");
  }
}

// element makes an element. Everything from the index is set as text, never as
// HTML.
function element(name, props = {}, ...children) {
  const e = Object.assign(document.createElement(name), props);
  e.append(...children);
  return e;
}

async function imageAt(path, signal) {
  const url = URL.createObjectURL(await (await call(path, {signal})).blob());
  urls.push(url);
  return url;
}

// number has a minus sign of the width of a digit.
const number = (x, digits) => x.toFixed(digits).replace("-", "−");

function card(hit, text, signal) {
  const id = encodeURIComponent(hit.id);
  const name = hit.text || hit.id;
  const figure = element("figure");
  const words = element("blockquote", {textContent: name.slice(0, 200)});
  const image = element("img", {alt: name});
  const facts = element("div");
  const scores = [element("b", {textContent: number(hit.score, 3), title: "score"})];
  const cosines = [["image", hit.image_cosine], ["text", hit.text_cosine]].filter(([, c]) => c !== undefined);
  scores.push(cosines.map(([what, c]) => `${what} ${number(c, 2)}`).join(" · "));
  facts.append(element("p", {className: "score", title: "score; cosines with the image and the text"}, ...scores));
  if (hit.text) facts.append(element("p", {className: "text", textContent: hit.text, title: hit.text}));
  facts.append(element("p", {className: "id", textContent: hit.id.split("/").filter(Boolean).pop() || hit.id, title: hit.id}));
  // What an index of files notes about them is of no use here.
  const meta = Object.entries(hit.meta || {}).filter(([key]) => !key.startsWith("file_")).slice(0, 8);
  if (meta.length) facts.append(element("dl", {}, ...meta.flatMap(([key, value]) => [
    element("dt", {textContent: key}),
    element("dd", {textContent: typeof value === "object" ? JSON.stringify(value) : String(value)})])));
  figure.append(words);
  if (hit.image && server.thumbnails) {
    imageAt("v1/thumbnail/" + id, signal).then(url => {
      image.src = url;
      figure.replaceChildren(image);
      if (server.heatmaps && text) facts.append(heatButton(id, text, image, url, signal));
    }, () => {}); // the words stay
  }
  return element("li", {className: "hit"}, figure, facts);
}

// heatButton turns the heat map of an image on and off.
function heatButton(id, text, image, plain, signal) {
  const button = element("button", {type: "button", textContent: "heat map", title: `where the image speaks for “${text}”`});
  let heat = null;
  button.setAttribute("aria-pressed", "false");
  button.onclick = async () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    try {
      if (on && !heat) {
        button.disabled = true;
        button.textContent = "drawing…";
        heat = await imageAt(`v1/heatmap/${id}?text=${encodeURIComponent(text)}`, signal);
      }
      image.src = on ? heat : plain;
      button.setAttribute("aria-pressed", String(on));
    } catch (err) {
      if (err.name !== "AbortError") say(err.message, true);
    } finally {
      button.disabled = false;
      button.textContent = "heat map";
    }
  };
  return button;
}

function take(file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) {
    say(`${file.name || "This"} is not a picture.`, true);
    return;
  }
  const reader = new FileReader();
  reader.onload = () => {
    picture = reader.result;
    $("preview").src = picture;
    $("chip").hidden = false;
    search();
  };
  reader.onerror = () => say("The picture cannot be read.", true);
  reader.readAsDataURL(file);
}

$("form").onsubmit = event => {
  event.preventDefault();
  search();
};
for (const id of ["in", "fusion", "k"]) $(id).onchange = () => terms().length && search();
$("file").onchange = () => {
  take($("file").files[0]);
  $("file").value = ""; // the same picture may be chosen again
};
$("forget").onclick = () => {
  picture = null;
  $("chip").hidden = true;
  $("text").focus();
  if (terms().length) search();
};
document.ondragover = event => {
  event.preventDefault();
  document.body.classList.add("dropping");
};
document.ondragleave = event => event.relatedTarget || document.body.classList.remove("dropping");
document.ondrop = event => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(event.dataTransfer.files[0]);
};
document.onpaste = event => event.clipboardData.files.length && take(event.clipboardData.files[0]);
document.onkeydown = event => {
  if (event.key === "/" && !["INPUT", "SELECT"].includes(document.activeElement.tagName)) {
    event.preventDefault();
    $("text").focus();
  }
};
about().catch(err => say(err.message, true));
