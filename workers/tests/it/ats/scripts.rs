//! What pages of hiring sites do when they are filled.

/// Sends what stands in the page's controls, whether they are in a form or in none, and thanks.
pub const SEND: &str = r"
const state = {};
function controls(root) {
  let all = Array.from(root.querySelectorAll('input[name],textarea[name],select[name]'));
  for (const el of root.querySelectorAll('*')) if (el.shadowRoot) all = all.concat(controls(el.shadowRoot));
  return all;
}
let sent = false;
function send() {
  const body = new FormData();
  for (const el of controls(document)) {
    if ((el.type === 'radio' || el.type === 'checkbox') && !el.checked) continue;
    if (el.type === 'file') { for (const file of el.files) body.append(el.name, file); continue; }
    body.append(el.name, el.name in state ? state[el.name] : el.value);
  }
  for (const el of document.querySelectorAll('[contenteditable][data-name]')) body.append(el.dataset.name, el.textContent);
  for (const [name, value] of Object.entries(state)) if (!body.has(name)) body.append(name, value);
  if (sent) return;
  sent = true;
  setTimeout(() => fetch('/send', { method: 'POST', body }).then(() => { document.body.innerHTML = '<h1>Thank you for applying</h1>'; }), 200);
}
";

/// Buttons of which one is chosen; nothing but their class tells which.
pub const YES_NO_BUTTONS: &str = r"
document.addEventListener('click', (e) => {
  const option = e.target.closest('._option');
  if (!option) return;
  for (const other of option.parentElement.children) other.classList.toggle('_active', other === option);
  state[option.parentElement.dataset.name] = option.textContent === 'Yes' ? 'true' : 'false';
});
";

/// A select of divisions with an input of its own: the list is there while it is open, and hangs below the body.
pub const REACT_SELECT: &str = r"
for (const control of document.querySelectorAll('.select__control')) {
  const input = control.querySelector('.select__input'), box = control.querySelector('.select__value-container');
  const value = control.parentElement.querySelector('input[type=hidden]'), must = control.parentElement.querySelector('.requiredInput');
  let menu = null;
  const close = () => { if (menu) menu.remove(); menu = null; input.setAttribute('aria-expanded', 'false'); input.removeAttribute('aria-controls'); };
  const open = () => {
    if (menu) return;
    menu = document.createElement('div'); menu.setAttribute('role', 'listbox'); menu.id = 'react-select-' + input.id + '-listbox';
    for (const one of value.dataset.options.split('|')) {
      const [text, own] = one.split('='), option = document.createElement('div');
      option.setAttribute('role', 'option'); option.textContent = text;
      option.onmousedown = (e) => e.preventDefault();
      option.onclick = () => { box.querySelector('.select__placeholder,.select__single-value').className = 'select__single-value'; box.querySelector('.select__single-value').textContent = text; value.value = own; input.value = ''; if (must) must.remove(); close(); };
      menu.append(option);
    }
    document.body.append(menu);
    input.setAttribute('aria-expanded', 'true'); input.setAttribute('aria-controls', menu.id);
  };
  control.addEventListener('mousedown', (e) => { if (e.target !== input) e.preventDefault(); input.focus(); menu ? close() : open(); });
  input.addEventListener('input', () => { open(); for (const option of menu.children) option.hidden = !option.textContent.toLowerCase().startsWith(input.value.toLowerCase()); });
  input.addEventListener('keydown', (e) => { if (e.key === 'Escape') close(); });
  input.addEventListener('blur', () => { input.value = ''; close(); });
}
";

/// What is chosen is sent on at once; its field gives way to the file's name.
pub const UPLOAD: &str = r#"
document.addEventListener('change', (e) => {
  if (e.target.type !== 'file') return;
  const input = e.target, file = input.files[0];
  setTimeout(() => fetch('/upload', { method: 'POST', body: file.name }).then(() => {
    const shown = document.createElement('div');
    shown.innerHTML = '<p class=file-upload__filename></p><button type=button aria-label="Remove file">x</button><input type=hidden>';
    shown.querySelector('p').textContent = file.name;
    Object.assign(shown.querySelector('input'), { name: input.dataset.into, value: file.name });
    input.previousElementSibling.remove();
    input.replaceWith(shown);
  }), 120);
});
"#;

/// A resume that was read writes the name, and not as its owner does.
pub const PARSER: &str = r"
document.querySelector('[name=resume]').addEventListener('change', () => setTimeout(() => { document.querySelector('[name=name]').value = 'ADA OBRIEN'; }, 250));
";

/// Buttons that open a list and then show what was chosen.
pub const PICKER: &str = r"
for (const button of document.querySelectorAll('button[aria-haspopup=listbox]')) {
  button.addEventListener('click', () => setTimeout(() => {
    if (button.getAttribute('aria-expanded') === 'true') return;
    const list = document.createElement('ul'), value = button.parentElement.querySelector('input[type=hidden]');
    list.setAttribute('role', 'listbox'); list.id = 'list-' + button.id;
    for (const text of ['Select One', 'Yes', 'No']) {
      const option = document.createElement('li');
      option.setAttribute('role', 'option'); option.textContent = text;
      option.onclick = () => { button.textContent = text; value.value = text; button.setAttribute('aria-expanded', 'false'); list.remove(); };
      list.append(option);
    }
    button.setAttribute('aria-expanded', 'true'); button.setAttribute('aria-controls', list.id);
    document.body.append(list);
  }, 80));
}
";

/// The list of states comes from the server, a moment after the country was chosen.
pub const LATE: &str = r"
const country = document.getElementById('jv-country'), states = document.getElementById('jv-state');
country.addEventListener('change', () => setTimeout(() => {
  const all = { US: [['', 'Select a state'], ['AL', 'Alabama'], ['CA', 'California'], ['NY', 'New York'], ['TX', 'Texas']], CA: [['', 'Select a province'], ['ON', 'Ontario']] }[country.value] || [];
  states.replaceChildren(...all.map(([value, text]) => new Option(text, value)));
  states.required = all.length > 0;
  document.getElementById('where-state').hidden = !all.length;
}, 300));
";

pub const MODAL: &str = r"
const layer = document.getElementById('layer');
document.getElementById('open').addEventListener('click', () => setTimeout(() => layer.showModal(), 150));
";

/// Components that keep their fields to themselves.
pub const SHADOW: &str = r#"
customElements.define('spl-input', class extends HTMLElement {
  connectedCallback() {
    const root = this.attachShadow({ mode: 'open' }), name = this.getAttribute('name');
    root.innerHTML = '<div><label for=input></label><span aria-hidden=true>*</span><input id=input></div>';
    root.querySelector('label').textContent = this.getAttribute('label');
    Object.assign(root.querySelector('input'), { name, type: this.getAttribute('kind'), required: true });
  }
});
customElements.define('spl-dropzone', class extends HTMLElement {
  connectedCallback() {
    const root = this.attachShadow({ mode: 'open' });
    root.innerHTML = '<section><h3></h3><button type=button>Choose a file</button><input type=file style="display:none"></section>';
    root.querySelector('h3').textContent = this.getAttribute('label');
    root.querySelector('input').name = this.getAttribute('name');
  }
});
"#;

/// A model behind the fields, which are written back from it; and radio buttons made of roles.
pub const CONTROLLED: &str = r"
const model = {};
for (const el of document.querySelectorAll('[data-controlled]')) {
  model[el.name] = '';
  el.addEventListener('input', () => { model[el.name] = el.value; });
  setInterval(() => { if (el.value !== model[el.name]) el.value = model[el.name]; }, 10);
}
document.addEventListener('click', (e) => {
  const radio = e.target.closest('[role=radio]');
  if (!radio) return;
  const group = radio.closest('[role=radiogroup]');
  for (const other of group.querySelectorAll('[role=radio]')) other.setAttribute('aria-checked', String(other === radio));
  state[group.dataset.name] = radio.dataset.value;
});
";
