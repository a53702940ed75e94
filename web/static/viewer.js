// Adds the viewer's own zone to moments, and keeps live parts fresh. Pages work without it.
"use strict";

const zone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

function addLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = zone.format(new Date(time.dateTime));
  }
}

// An event has the name of a part and its HTML, drawn by the server with every text escaped.
function follow(source) {
  for (const part of document.querySelectorAll("[data-live]")) {
    source.addEventListener(part.dataset.live, (event) => {
      part.innerHTML = event.data;
      addLocalTimes(part);
    });
  }
}

// A part that the server draws anew at an interval; all viewers of it share one reading there.
function drawAgain(part) {
  let drawn = "";
  setInterval(async () => {
    if (document.hidden || part.matches(":focus-within")) {
      return;
    }
    const answer = await fetch(part.dataset.from).catch(() => null);
    const text = answer && answer.ok ? await answer.text() : drawn;
    if (text !== drawn) {
      drawn = text;
      part.innerHTML = text;
      addLocalTimes(part);
    }
  }, part.dataset.every * 1000);
}

addLocalTimes(document);
document.querySelectorAll("[data-from]").forEach(drawAgain);
const live = document.querySelector("[data-live-from]");
if (live) {
  follow(new EventSource(live.dataset.liveFrom));
}
