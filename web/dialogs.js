// Questions to the person: a reason for every change, a token where one is wanted.

const byId = (id) => document.getElementById(id);

// {why, number, fields} or null. `number`: {name, value, max, step, describe} asks for one too;
// describe(number) gives the dialog's text anew. `fields`: more labels with an input or select, of
// which the answer has the values by name. `perform` (optional) is tried while the dialog is open, so that what it
// refuses can be read and mended.
export function ask({ title, text, ok = "Do it", danger = false, number = null, fields = [], perform = null }) {
  const dialog = byId("ask");
  const error = byId("ask-error");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-ok").textContent = ok;
  byId("ask-ok").className = danger ? "danger" : "primary";
  byId("ask-why").value = "";
  byId("ask-number-label").hidden = !number;
  byId("ask-number").required = Boolean(number); // an empty field would be read as 0
  if (number) {
    byId("ask-number-name").textContent = number.name;
    byId("ask-number").max = number.max ?? "";
    byId("ask-number").step = number.step ?? 1;
    byId("ask-number").value = number.value;
  }
  byId("ask-number").onchange = async ({ target }) => {
    if (number?.describe && target.validity.valid) byId("ask-text").textContent = await number.describe(Number(target.value));
  };
  byId("ask-fields").replaceChildren(...fields);
  error.hidden = true;
  return new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const end = (value) => {
      form.onsubmit = null;
      dialog.onclose = null;
      byId("ask-cancel").onclick = null;
      if (dialog.open) dialog.close();
      resolve(value);
    };
    form.onsubmit = async (event) => {
      event.preventDefault();
      const answer = { why: byId("ask-why").value.trim(), number: Number(byId("ask-number").value), fields: Object.fromEntries([...byId("ask-fields").querySelectorAll("[name]")].map((one) => [one.name, one.value.trim()])) };
      if (!answer.why) {
        error.textContent = "Please say why: whoever reads the audit log will want to know.";
        error.hidden = false;
        byId("ask-why").focus();
        return undefined;
      }
      try {
        if (perform) await perform(answer);
      } catch (problem) {
        error.textContent = [problem.message, problem.wayOut].filter(Boolean).join(". ");
        error.hidden = false;
        return undefined;
      }
      return end(answer);
    };
    byId("ask-cancel").onclick = () => end(null);
    dialog.onclose = () => end(null);
    dialog.showModal();
    const first = number ? byId("ask-number") : byId("ask-fields").querySelector("[name]");
    (first ?? byId("ask-why")).focus();
  });
}

export function login(tryToken) {
  const dialog = byId("login");
  const error = byId("login-error");
  error.hidden = true;
  return new Promise((resolve) => {
    dialog.oncancel = (event) => event.preventDefault();
    dialog.querySelector("form").onsubmit = async (event) => {
      event.preventDefault();
      try {
        await tryToken(byId("token").value);
      } catch (problem) {
        error.textContent = problem.status === 401 ? "This token is not known." : problem.message;
        error.hidden = false;
        return;
      }
      byId("token").value = "";
      dialog.close();
      resolve();
    };
    dialog.showModal();
    byId("token").focus();
  });
}

let toastTimer = 0;
export function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { place.hidden = true; }, 6000);
}
