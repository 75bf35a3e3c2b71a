"use strict";
// Sharpens the dashboard: buttons to copy, lists that are searched and forms that are checked while a person types.
// Every page works without this. What the server says goes into a page as text, or as nodes of a parsed document.

/** Calls `act` when no more events came for a moment; a later call ends the earlier one's requests. */
function later(act) {
  let timer, running = new AbortController();
  return () => {
    clearTimeout(timer);
    running.abort();
    running = new AbortController();
    const { signal } = running;
    timer = setTimeout(() => act(signal).catch(() => {}), 200); // the form itself still works
  };
}

for (const text of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  });
  text.after(button);
}

for (const form of document.querySelectorAll("form[data-search]")) {
  const search = later(async (signal) => {
    const address = `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
    const answer = await fetch(address, { signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("found");
    if (!found) return location.assign(address); // signed out meanwhile
    document.getElementById("found").replaceChildren(...found.childNodes);
    document.getElementById("found-count").textContent = page.getElementById("found-count").textContent;
    history.replaceState(null, "", address);
  });
  form.addEventListener("input", search);
}

for (const form of document.querySelectorAll("form[data-check]")) {
  const touched = new Set();
  const places = new Map();
  for (const field of form.querySelectorAll("[id^=field-]")) {
    const id = `${field.id}-error`;
    const place = document.getElementById(id) ?? document.createElement("p");
    if (!place.id) {
      place.id = id;
      place.className = "problem";
      const hint = document.getElementById(`${field.id}-hint`);
      (hint ?? field).after(place);
      field.setAttribute("aria-describedby", hint ? `${hint.id} ${id}` : id);
    }
    place.setAttribute("aria-live", "polite");
    places.set(field, place);
  }
  const check = later(async (signal) => {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.dataset.check, { method: "POST", body, signal });
    const { errors } = await answer.json();
    for (const [field, place] of places) {
      // Nobody is told of a field that they have not come to yet.
      const text = touched.has(field) || place.textContent ? errors[field.name] ?? "" : "";
      if (place.textContent !== text) place.textContent = text;
      if (text) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  });
  form.addEventListener("input", (event) => {
    touched.add(event.target);
    check();
  });
}

// A page with secrets may be kept for the way back: then without them.
addEventListener("pagehide", () => {
  for (const secret of document.querySelectorAll("[data-secret]")) secret.textContent = "Not shown any more";
});
