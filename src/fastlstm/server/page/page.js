"use strict";
// The page: as one types, each chosen model explains the text, and what it says is drawn.

const PAUSE = 150; // milliseconds after a key in which the next is waited for
const STRONGEST = 10;
const GATES = ["input", "forget", "output", "candidate", "cell", "hidden"];
const find = (name) => document.getElementById(name);
let language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
let models = [];
let asked = 0; // the number of the newest question: answers to older ones are not shown
let waiting = null;

const say = (name) => WORDS[language][name];

function translate(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  find("language").textContent = say("other");
}

function tell(text) {
  find("status").textContent = text;
}

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (find("token").value) headers.Authorization = `Bearer ${find("token").value}`;
  const response = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  if (response.status === 401) {
    find("token-row").hidden = false;
    throw new Error(say("needed"));
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(say("refused") + answer.error);
  return answer;
}

async function begin() {
  try {
    models = await call("/models");
  } catch (error) {
    tell(error instanceof TypeError ? say("away") : error.message);
    return;
  }
  tell("");
  const box = find("models");
  box.querySelectorAll("label").forEach((label) => label.remove());
  models.forEach((model, number) => {
    const label = document.createElement("label");
    const choice = document.createElement("input");
    choice.type = "checkbox";
    choice.value = model.name;
    choice.checked = number === 0;
    choice.addEventListener("change", later);
    label.append(choice, ` ${model.name}`);
    box.append(label);
  });
  later();
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(ask, PAUSE);
}

const chosen = () => [...find("models").querySelectorAll("input:checked")].map((choice) => choice.value);

async function ask() {
  const question = ++asked;
  const text = find("text").value;
  for (const section of find("answers").querySelectorAll(".answer"))
    if (!chosen().includes(section.dataset.model)) section.remove();
  if (!text.trim()) {
    find("answers").replaceChildren();
    tell(say("ready"));
    return;
  }
  tell(say("reading"));
  try {
    for (const name of chosen()) {
      const body = { text, model: name };
      const section = sectionOf(name);
      if (section.querySelector("details").open) body.gates = Number(section.querySelector(".unit").value) || 0;
      const answer = await call("/explain", body);
      if (question !== asked) return;
      show(section, answer);
    }
    tell(say("ready"));
  } catch (error) {
    if (question === asked) tell(error instanceof TypeError ? say("away") : error.message);
  }
}

function sectionOf(name) {
  const there = [...find("answers").children].find((section) => section.dataset.model === name);
  if (there) return there;
  const section = find("answer").content.cloneNode(true).querySelector(".answer");
  section.dataset.model = name;
  section.querySelector("h2").textContent = name;
  section.querySelector("details").addEventListener("toggle", later);
  section.querySelector(".unit").addEventListener("input", later);
  translate(section);
  find("answers").append(section);
  return section;
}

function show(section, answer) {
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  section.querySelector(".verdict output").textContent = `${answer.label} ${percent(answer.probability)}`;
  section.querySelector(".bars").replaceChildren(
    ...Object.entries(answer.probabilities)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 10)
      .map(([label, share]) => bar(label, share, percent(share))),
  );
  showTokens(section.querySelector(".tokens"), answer);
  showStrongest(section.querySelector("tbody"), answer);
  drawCourse(section.querySelector(".course"), answer);
  if (answer.gates) {
    section.querySelector(".unit").max = answer.units - 1;
    drawGates(section.querySelector(".gates"), answer);
  }
}

function bar(label, share, shown) {
  const row = document.createElement("div");
  const [name, meter, value] = ["span", "meter", "span"].map((kind) => document.createElement(kind));
  row.className = "bar";
  name.textContent = label;
  meter.value = share;
  value.className = "value";
  value.textContent = shown;
  row.append(name, meter, value);
  return row;
}

const colour = (moved, most) => {
  const style = getComputedStyle(document.documentElement);
  const channels = style.getPropertyValue(moved > 0 ? "--towards" : "--away");
  return `rgba(${channels}, ${(Math.abs(moved) / most).toFixed(2)})`;
};

const characters = (text) => Array.from(text); // places count characters, as Python does

function showTokens(paragraph, answer) {
  const text = characters(answer.text);
  const most = Math.max(...answer.tokens.map((token) => Math.abs(token.moved)), 1e-9);
  const parts = [];
  let at = 0;
  for (const token of answer.tokens) {
    parts.push(text.slice(at, token.first).join(""));
    const span = document.createElement("span");
    span.textContent = text.slice(token.first, token.last).join("");
    span.title = token.moved.toFixed(3);
    span.style.backgroundColor = colour(token.moved, most);
    if (!token.read) span.className = "unread";
    parts.push(span);
    at = token.last;
  }
  parts.push(text.slice(at).join(""));
  paragraph.replaceChildren(...parts);
}

function showStrongest(body, answer) {
  const strongest = [...answer.tokens].sort((a, b) => Math.abs(b.moved) - Math.abs(a.moved)).slice(0, STRONGEST);
  body.replaceChildren(
    ...strongest.map((token) => {
      const row = document.createElement("tr");
      for (const text of [token.token, (token.moved > 0 ? "+" : "") + token.moved.toFixed(3)]) {
        const cell = document.createElement("td");
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    }),
  );
}

function drawCourse(canvas, answer) {
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const shares = answer.tokens.map((token) => token.probabilities[answer.label]);
  const x = (k) => ((k + 0.5) / shares.length) * canvas.width;
  const y = (share) => (1 - share) * (canvas.height - 10) + 5;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = style.getPropertyValue("--line");
  context.beginPath();
  context.moveTo(0, y(0.5));
  context.lineTo(canvas.width, y(0.5));
  context.stroke();
  context.strokeStyle = `rgb(${style.getPropertyValue("--towards")})`;
  context.lineWidth = 2;
  context.beginPath();
  shares.forEach((share, k) => (k ? context.lineTo(x(k), y(share)) : context.moveTo(x(k), y(share))));
  context.stroke();
  canvas.setAttribute("aria-label", `${say("after")}: ${shares.map((share) => share.toFixed(2)).join(" ")}`);
}

function drawGates(canvas, answer) {
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const left = 80;
  const height = canvas.height / GATES.length;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.font = "16px system-ui, sans-serif";
  context.textBaseline = "middle";
  GATES.forEach((name, row) => {
    const values = answer.gates[name];
    const width = (canvas.width - left) / values.length;
    context.fillStyle = style.getPropertyValue("--ink");
    context.fillText(name, 0, (row + 0.5) * height);
    values.forEach((value, k) => {
      context.fillStyle = colour(value, Math.max(1, Math.abs(value)));
      context.fillRect(left + k * width, row * height + 1, Math.ceil(width), height - 2);
    });
  });
  const last = (name) => answer.gates[name].at(-1).toFixed(2);
  canvas.setAttribute("aria-label", GATES.map((name) => `${name} ${last(name)}`).join(", "));
}

find("text").addEventListener("input", later);
find("token").addEventListener("change", begin);
find("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  translate();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
translate();
begin();
