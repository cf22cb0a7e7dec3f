// One reading of one document: every control, button and link with what names it, and what the page says.
// Runs as the body of a function in the page (WebDriver "execute script"); changes nothing there. Documents of the same origin in
// frames and open shadow roots are read along; other frames are listed under `frames` with `readable: false`.
// The shape of the answer is `Snapshot` in snapshot.rs. Every list and text has a bound.
const MAX_CONTROLS = 600, MAX_BUTTONS = 300, MAX_OPTIONS = 400, MAX_TEXT = 8000, MAX_LABEL = 400, MAX_PAIRS = 120, MAX_NODES = 60000;
const CONTROL = 'input:not([type=hidden]):not([type=submit]):not([type=button]):not([type=image]):not([type=reset]),select,textarea,' +
  '[contenteditable=""],[contenteditable=true],[role=textbox],[role=combobox],[role=listbox],[role=searchbox],[role=spinbutton],' +
  '[role=checkbox],[role=radio],[role=switch]';
const BUTTON = 'button,input[type=submit],input[type=button],input[type=image],input[type=reset],a[href],[role=button],[role=link]';
const CONTEXT_WORDS = /(newsletter|subscri|search|cookie|consent|footer|header|navbar|navigation|login|signin|sign-in|honeypot|banner|modal|sidebar|comment|chat|feedback|coupon|promo)/gi;
const out = {
  url: location.href, title: document.title, lang: document.documentElement.lang || '', status: null, loaded_at: performance.timeOrigin, ready: document.readyState,
  headings: [], text: '', controls: [], buttons: [], forms: [], frames: [], alerts: [], json_ld: [], pairs: [], truncated: false,
};
let order = 0, nodes = 0, groupCount = 0;

// A form's own properties may be its controls: `<input name=children>`. So what is asked of every element is asked past them.
const attr = (el, name) => Element.prototype.getAttribute.call(el, name);
const getter = (prototype, name) => { const { get } = Object.getOwnPropertyDescriptor(prototype, name); return (el) => get.call(el); };
const ownChildren = getter(Element.prototype, 'children'), childrenOf = (node) => (node.nodeType === 1 ? ownChildren(node) : node.children);
const isShadow = (root) => root.nodeType === 11 && !!root.host; // not by class: frames have classes of their own
const parentElementOf = getter(Node.prototype, 'parentElement');

const squeeze = (text) => (text || '').replace(/[\s\u00a0\u200b]+/g, ' ').trim();
const cut = (text, max) => (text.length > max ? text.slice(0, max).replace(/[\ud800-\udbff]$/, '') : text); // no half of a character
const styleOf = (el) => (el.ownerDocument.defaultView || window).getComputedStyle(el);
const parentOf = (el) => el.assignedSlot || parentElementOf(el) || (isShadow(el.getRootNode()) ? el.getRootNode().host : null);
const hasControl = (el) => el.matches(CONTROL) || !!el.querySelector(CONTROL);

function rectOf(el) {
  const view = el.ownerDocument.defaultView || window, r = el.getBoundingClientRect();
  return { x: Math.round(r.left + view.scrollX), y: Math.round(r.top + view.scrollY), width: Math.round(r.width), height: Math.round(r.height) };
}

// Why a person cannot see the element; empty when they can.
function hiddenReason(el) {
  const style = styleOf(el);
  if (style.display === 'none') return 'display';
  if (style.visibility !== 'visible') return 'visibility';
  const doc = el.ownerDocument.documentElement, r = rectOf(el);
  if (r.width <= 1 || r.height <= 1) return 'size';
  if (r.x + r.width <= 0 || r.y + r.height <= 0 || r.x >= Math.max(doc.scrollWidth, doc.clientWidth) + 50) return 'offscreen';
  let opacity = 1;
  for (let node = el; node && node.nodeType === 1; node = parentOf(node)) {
    const s = node === el ? style : styleOf(node);
    if (s.display === 'none') return 'display';
    opacity *= parseFloat(s.opacity);
    if (opacity < 0.05) return 'opacity';
    if (/rect\(0(px)?,? 0(px)?,? 0(px)?,? 0(px)?\)|rect\(1px,? 1px,? 1px,? 1px\)/.test(s.clip) || /inset\((50|100)%/.test(s.clipPath)) return 'clip';
    if (node !== el && (s.overflowX !== 'visible' || s.overflowY !== 'visible') && node !== el.ownerDocument.body && node !== doc) {
      const box = node.getBoundingClientRect();
      if (box.width <= 1 || box.height <= 1) return 'size';
    }
    if (attr(node, 'aria-hidden') === 'true') return 'aria-hidden';
    if (node.inert) return 'inert';
    if (node.tagName === 'DETAILS' && !node.open && !el.closest('summary')) return 'details';
  }
  return '';
}

const unrendered = (el) => { const s = styleOf(el); return s.display === 'none' || s.visibility === 'hidden'; };
const SKIP = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE', 'SELECT', 'TEXTAREA', 'BUTTON', 'SVG', 'svg', 'IFRAME', 'OPTION', 'DATALIST']);

// A message about a mistake, not part of what it stands beside; `has-error` and the like mark containers.
function isMessage(el) {
  if (attr(el, 'role') === 'alert') return true;
  return Array.from(el.classList).some((name) => /error|invalid/i.test(name) && !/^(has|is|with|no|show)[-_]/i.test(name)) && !el.matches(CONTROL) && !el.querySelector(CONTROL);
}

// Text a person would read in `el`, without what its controls hold. `force` also reads an element that is itself hidden.
function textOf(el, force) {
  let text = '';
  (function read(node, top) {
    if (text.length > MAX_LABEL * 2) return;
    if (node.nodeType === 3) { text += node.data; return; }
    if (node.nodeType !== 1) return;
    if (!top && (SKIP.has(node.tagName) || isMessage(node))) return;
    if (!(top && force) && unrendered(node)) return;
    if (node.tagName === 'IMG') { text += ' ' + (node.alt || '') + ' '; return; }
    if (node.tagName === 'BR') { text += ' '; return; }
    const block = styleOf(node).display !== 'inline';
    if (block) text += ' ';
    for (const child of (node.shadowRoot || node).childNodes) read(child, false);
    if (block) text += ' ';
  })(el, true);
  return cut(squeeze(text), MAX_LABEL);
}

function byIds(el, ids) {
  const root = el.getRootNode();
  return ids.split(/\s+/).map((id) => id && (root.getElementById ? root.getElementById(id) : null)).filter(Boolean);
}

// Accessible name and where it is from, in the order of the accessible name computation.
function nameOf(el) {
  const labelledby = attr(el, 'aria-labelledby');
  if (labelledby) {
    const text = squeeze(byIds(el, labelledby).map((node) => textOf(node, true)).join(' '));
    if (text) return [text, 'labelledby'];
  }
  const aria = squeeze(attr(el, 'aria-label'));
  if (aria) return [aria, 'aria-label'];
  const labels = Array.from(el.labels || []);
  const text = squeeze(labels.map((label) => textOf(label)).join(' ')) || squeeze(labels.map((label) => textOf(label, true)).join(' '));
  if (text) return [text, labels.some((label) => label.contains(el)) ? 'wrapping' : 'label'];
  if (squeeze(el.title)) return [squeeze(el.title), 'title'];
  if (squeeze(el.placeholder || attr(el, 'aria-placeholder'))) return [squeeze(el.placeholder || attr(el, 'aria-placeholder')), 'placeholder'];
  return ['', 'none'];
}

function marksRequired(el) {
  return Array.from(el.labels || []).some((label) =>
    [label, ...Array.from(label.querySelectorAll('*')).slice(0, 6)].some((node) =>
      ['::before', '::after'].some((pseudo) => /[*\u2217\u2731]|required/i.test((node.ownerDocument.defaultView || window).getComputedStyle(node, pseudo).content || ''))));
}

// Text of the siblings before `node`, nearest first, back to the first that holds a control. `stop` tells that one was met.
function textBefore(node, ignore) {
  let text = '';
  for (let sibling = node.previousSibling; sibling; sibling = sibling.previousSibling) {
    if (sibling.nodeType === 3) text = sibling.data + ' ' + text;
    else if (sibling.nodeType === 1) {
      if (ignore && ignore.some((other) => sibling === other || sibling.contains(other))) continue;
      if (hasControl(sibling)) return { text: squeeze(text), stop: true };
      if (sibling.tagName === 'LABEL' && sibling.htmlFor && sibling.control && sibling.control !== node && !node.contains(sibling.control)) return { text: squeeze(text), stop: true };
      if (isMessage(sibling)) continue;
      if (!/^(H[1-6]|HR|LEGEND)$/.test(sibling.tagName) || !text) text = textOf(sibling) + ' ' + text;
    }
    if (text.length > MAX_LABEL) break;
  }
  return { text: cut(squeeze(text), MAX_LABEL), stop: false };
}

const EDGE = /^(FORM|BODY|HTML|FIELDSET|DIALOG|MAIN|TABLE|UL|OL|NAV|HEADER|FOOTER)$/;

// What stands next to a control that no label names.
function nearbyOf(el, ignore) {
  const cell = el.closest('td,th');
  if (cell) {
    for (let other = cell.previousElementSibling; other; other = other.previousElementSibling) {
      if (hasControl(other)) break;
      const text = textOf(other);
      if (text) return text;
    }
    const row = parentElementOf(cell), above = row && (row.previousElementSibling || (parentElementOf(row) && parentElementOf(row).tagName === 'TBODY' && row.closest('table').tHead && row.closest('table').tHead.rows[0]));
    if (above && above.cells && above.cells[cell.cellIndex] && !hasControl(above)) {
      const text = textOf(above.cells[cell.cellIndex]);
      if (text) return text;
    }
  }
  const dd = el.closest('dd');
  if (dd && dd.previousElementSibling && dd.previousElementSibling.tagName === 'DT') return textOf(dd.previousElementSibling);
  for (let node = el, level = 0; node && level < 7 && !EDGE.test(node.tagName); level += 1) {
    const before = textBefore(node, ignore);
    if (before.text) return before.text;
    if (before.stop) return '';
    node = parentElementOf(node) || (isShadow(node.getRootNode()) ? node.getRootNode().host : null);
  }
  return '';
}

function textAfter(el) {
  let text = '';
  for (let sibling = el.nextSibling; sibling; sibling = sibling.nextSibling) {
    if (sibling.nodeType === 3) text += ' ' + sibling.data;
    else if (sibling.nodeType === 1) {
      if (hasControl(sibling) || sibling.tagName === 'BR' && squeeze(text)) break;
      text += ' ' + textOf(sibling);
    }
    if (text.length > MAX_LABEL) break;
  }
  return cut(squeeze(text), MAX_LABEL);
}

function groupNameOf(group) {
  const aria = attr(group, 'aria-labelledby');
  if (aria) { const text = squeeze(byIds(group, aria).map((node) => textOf(node, true)).join(' ')); if (text) return text; }
  if (squeeze(attr(group, 'aria-label'))) return squeeze(attr(group, 'aria-label'));
  const legend = Array.from(childrenOf(group)).find((child) => child.tagName === 'LEGEND') || group.querySelector(':scope > legend, :scope > * > legend');
  return legend ? textOf(legend, true) : '';
}

const GROUP = 'fieldset,[role=group],[role=radiogroup]';
function groupOf(el) {
  for (let group = parentElementOf(el) && parentElementOf(el).closest(GROUP), level = 0; group && level < 3; group = parentElementOf(group) && parentElementOf(group).closest(GROUP), level += 1) {
    const question = groupNameOf(group);
    if (question) return { element: group, question };
  }
  return null;
}

function describedBy(el) {
  const ids = [attr(el, 'aria-describedby'), attr(el, 'aria-errormessage')].filter(Boolean).join(' ');
  return cut(squeeze(byIds(el, ids).map((node) => textOf(node)).join(' ')), MAX_LABEL);
}

const ERROR = '[role=alert],[class*=error i],[class*=invalid i],[id*=error i],[data-error]';
// The message beside a control: described, or marked as an error inside the largest container that holds no other control.
function errorOf(el, members) {
  const ids = [attr(el, 'aria-errormessage'), attr(el, 'aria-invalid') === 'true' ? attr(el, 'aria-describedby') : ''].filter(Boolean).join(' ');
  const told = squeeze(byIds(el, ids).filter((node) => !unrendered(node)).map((node) => textOf(node)).join(' '));
  if (told) return cut(told, MAX_LABEL);
  const own = members || [el];
  for (let node = parentElementOf(el), level = 0; node && level < 6 && node.tagName !== 'FORM' && node.tagName !== 'BODY'; node = parentElementOf(node), level += 1) {
    if (Array.from(node.querySelectorAll(CONTROL)).some((other) => !own.includes(other))) break;
    for (const candidate of node.querySelectorAll(ERROR)) {
      if (candidate.matches('label,legend') || hasControl(candidate) || hiddenReason(candidate)) continue;
      const text = textOf(candidate);
      if (text && !/^[*\u2217]$/.test(text)) return text;
    }
  }
  return '';
}

// A list of mistakes above the form, each a link to its field: the messages by the id they lead to.
function toldAbove(doc) {
  const told = new Map();
  for (const link of Array.from(doc.querySelectorAll(`:is(${ERROR}) a[href^="#"],[class*=summary i] a[href^="#"]`)).slice(0, 100)) {
    const id = decodeURIComponent(link.hash.slice(1)), text = textOf(link.closest('li,p,dd,td') || link);
    if (id && text && !told.has(id) && !hiddenReason(link)) told.set(id, text);
  }
  return told;
}

// Everything said in the largest element around the control that holds no other.
function ownText(el, members) {
  const own = members || [el];
  let text = '';
  for (let node = parentElementOf(el), level = 0; node && level < 6 && !EDGE.test(node.tagName); node = parentElementOf(node), level += 1) {
    if (Array.from(node.querySelectorAll(CONTROL)).some((other) => !own.includes(other))) break;
    text = textOf(node);
  }
  return text;
}

function landmarkOf(el) {
  for (let node = el; node && node.nodeType === 1; node = parentOf(node)) {
    const role = attr(node, 'role') || '';
    if (role === 'search' || node.tagName === 'SEARCH') return 'search';
    if (role === 'dialog' || role === 'alertdialog' || node.tagName === 'DIALOG') return 'dialog';
    if (role === 'navigation' || node.tagName === 'NAV') return 'navigation';
    if (role === 'contentinfo' || (node.tagName === 'FOOTER' && !node.closest('form,article,main,section,fieldset'))) return 'footer';
    if (role === 'banner' || (node.tagName === 'HEADER' && !node.closest('form,article,main,section,fieldset'))) return 'header';
    if (role === 'complementary' || node.tagName === 'ASIDE') return 'aside';
    if (role === 'main' || node.tagName === 'MAIN') return 'main';
  }
  return '';
}

function contextOf(el) {
  const words = new Set();
  for (let node = parentOf(el), level = 0; node && node.nodeType === 1 && level < 12 && node.tagName !== 'BODY'; node = parentOf(node), level += 1) {
    const text = `${attr(node, 'id') || ''} ${attr(node, 'class') || ''} ${attr(node, 'name') || ''}`;
    for (const found of text.match(CONTEXT_WORDS) || []) words.add(found.toLowerCase());
  }
  return Array.from(words).slice(0, 12);
}

const only = (root, selector, el) => { try { const all = root.querySelectorAll(selector); return all.length === 1 && all[0] === el; } catch (error) { return false; } };
const quoted = (value) => '"' + value.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\a ') + '"';

function pathOf(el, root) {
  const steps = [];
  for (let node = el; node && node.nodeType === 1; node = parentElementOf(node)) {
    const own = attr(node, 'id'), id = own && '#' + CSS.escape(own);
    if (id && node !== el && only(root, id, node)) { steps.unshift(id); break; }
    const parent = parentElementOf(node) || (isShadow(root) ? root : null), tag = CSS.escape(node.localName);
    const same = parent ? Array.from(childrenOf(parent)).filter((child) => child.localName === node.localName) : [node];
    steps.unshift(same.length > 1 ? `${tag}:nth-of-type(${same.indexOf(node) + 1})` : tag);
  }
  return steps.join(' > ');
}

// Several ways to find the element again, most lasting first; each alone finds exactly this element now.
function selectorsOf(el, ctx) {
  const root = el.getRootNode(), tag = el.localName, found = [];
  const add = (selector) => { if (selector && only(root, selector, el) && !found.includes(selector)) found.push(selector); };
  if (attr(el, 'id')) add('#' + CSS.escape(attr(el, 'id')));
  const name = attr(el, 'name');
  if (name) {
    add(`${tag}[name=${quoted(name)}]`);
    if (el.hasAttribute('value')) add(`${tag}[name=${quoted(name)}][value=${quoted(attr(el, 'value'))}]`);
  }
  for (const attribute of ['data-testid', 'data-test', 'data-qa', 'data-automation-id', 'data-control', 'data-cy', 'aria-label', 'autocomplete']) {
    if (el.hasAttribute(attribute)) add(`${tag}[${attribute}=${quoted(attr(el, attribute))}]`);
  }
  add(pathOf(el, root));
  return found.map((selector) => ctx.prefix + selector);
}

function formOf(el) {
  let form = el.form || el.closest('form');
  // Inside a shadow root the form is around its host.
  for (let root = el.getRootNode(); !form && isShadow(root); root = root.host.getRootNode()) form = root.host.closest('form');
  if (!form) return null;
  let index = out.forms.findIndex((known) => known.element === form);
  if (index < 0) {
    index = out.forms.length;
    out.forms.push({
      element: form, id: attr(form, 'id') || '', name: cut(squeeze(attr(form, 'name')), MAX_LABEL), label: groupNameOf(form), action: cut(attr(form, 'action') || '', 500),
      method: (attr(form, 'method') || 'get').toLowerCase(), role: attr(form, 'role') || '', landmark: landmarkOf(form), context: contextOf(form),
      visible: !hiddenReason(form),
    });
  }
  return index;
}

function typeOf(el) {
  if (el.tagName === 'SELECT') return el.multiple ? 'select-multiple' : 'select';
  if (el.tagName === 'TEXTAREA') return 'textarea';
  if (el.tagName === 'INPUT') return el.type;
  const role = attr(el, 'role') || '';
  if (['combobox', 'listbox', 'checkbox', 'radio', 'switch', 'spinbutton'].includes(role)) return 'aria-' + role;
  return 'contenteditable';
}

function optionsOf(el) {
  const list = el.tagName === 'SELECT' ? Array.from(el.options) : el.list ? Array.from(el.list.options) : [];
  if (list.length > MAX_OPTIONS) out.truncated = true;
  return list.slice(0, MAX_OPTIONS).map((option) => ({
    value: cut(option.value, 200), label: cut(squeeze(option.label || option.text), 200), disabled: option.disabled, selected: !!option.selected,
  }));
}

function readControl(el, ctx) {
  if (out.controls.length >= MAX_CONTROLS) { out.truncated = true; return; }
  const [name, source] = nameOf(el), type = typeOf(el), why = hiddenReason(el), group = groupOf(el);
  const checkable = ['checkbox', 'radio', 'aria-checkbox', 'aria-radio', 'aria-switch'].includes(type);
  const labels = Array.from(el.labels || []);
  let labelVisible = labels.some((label) => !hiddenReason(label) && textOf(label));
  if (!labelVisible && why && type === 'file') {
    for (let node = parentElementOf(el), level = 0; node && level < 3 && !labelVisible && !EDGE.test(node.tagName); node = parentElementOf(node), level += 1) {
      labelVisible = !hiddenReason(node) && !!(textOf(node) || node.querySelector('button'));
    }
  }
  const value = type === 'password' ? '' : type === 'file' ? Array.from(el.files || []).map((file) => file.name).join('\n')
    : type === 'contenteditable' ? textOf(el, true) : type.startsWith('aria-') ? squeeze(el.value !== undefined ? el.value : el.textContent) : checkable ? attr(el, 'value') || '' : el.value || '';
  let holder = parentElementOf(el), container = '';
  for (let level = 0; holder && level < 4 && !container && !EDGE.test(holder.tagName); holder = parentElementOf(holder), level += 1) container = textOf(holder);
  out.controls.push({
    element: el, order: order++, frame: ctx.frame, selectors: selectorsOf(el, ctx), tag: el.localName, type, role: attr(el, 'role') || '',
    name: cut(attr(el, 'name') || '', 200), id: cut(el.id || '', 200), label: cut(name, MAX_LABEL), label_source: source,
    autocomplete: (attr(el, 'autocomplete') || '').toLowerCase().slice(0, 100), placeholder: cut(squeeze(el.placeholder), 200), title: cut(squeeze(el.title), 200),
    input_mode: attr(el, 'inputmode') || '', pattern: cut(attr(el, 'pattern') || '', 200), max_length: el.maxLength > 0 ? el.maxLength : null,
    min: attr(el, 'min') || '', max: attr(el, 'max') || '', accept: cut(attr(el, 'accept') || '', 300), multiple: !!el.multiple,
    required: !!el.required || attr(el, 'aria-required') === 'true' || marksRequired(el), read_only: !!el.readOnly,
    tab_stop: el.tabIndex >= 0 || !el.hasAttribute('tabindex'), options: optionsOf(el), value: cut(value, 2000),
    checked: checkable ? (el.checked !== undefined && el.tagName === 'INPUT' ? el.checked : attr(el, 'aria-checked') === 'true') : false,
    hidden: why, label_visible: labelVisible, enabled: !el.disabled && !el.matches(':disabled') && attr(el, 'aria-disabled') !== 'true',
    group: group ? group.question : '', group_element: group && group.element, set: '', set_question: '', nearby: nearbyOf(el, labels), after: checkable ? textAfter(el) : '',
    container: cut(container, MAX_LABEL), section: ctx.state.heading, description: describedBy(el), error: '', own_text: '', invalid: attr(el, 'aria-invalid') === 'true',
    native_error: el.willValidate && el.validity && !el.validity.valid ? cut(squeeze(el.validationMessage), MAX_LABEL) : '',
    form: formOf(el), landmark: landmarkOf(el), context: contextOf(el), rect: rectOf(el),
  });
}

function readButton(el, ctx) {
  if (out.buttons.length >= MAX_BUTTONS) { out.truncated = true; return; }
  const tag = el.localName, link = tag === 'a' || attr(el, 'role') === 'link';
  let text = squeeze(attr(el, 'aria-label'));
  if (!text && attr(el, 'aria-labelledby')) text = squeeze(byIds(el, attr(el, 'aria-labelledby')).map((node) => textOf(node, true)).join(' '));
  if (!text) text = tag === 'input' ? squeeze(el.value || el.alt || (el.type === 'submit' ? 'Submit' : el.type === 'reset' ? 'Reset' : '')) : textOf(el, true);
  if (!text) text = squeeze(el.title);
  if (!text && link) return;
  const type = tag === 'button' ? (el.type || 'submit') : tag === 'input' ? (el.type === 'image' ? 'submit' : el.type) : link ? 'link' : 'button';
  out.buttons.push({
    order: order++, frame: ctx.frame, selectors: selectorsOf(el, ctx), tag, type, text: cut(text, 200), name: cut(attr(el, 'name') || '', 200), id: cut(el.id || '', 200),
    value: cut(attr(el, 'value') || '', 200), href: link ? cut(el.href || '', 1000) : '', hidden: hiddenReason(el), enabled: !el.disabled && !el.matches(':disabled') && attr(el, 'aria-disabled') !== 'true',
    form: type === 'link' ? (el.closest('form') ? formOf(el) : null) : formOf(el), landmark: landmarkOf(el), context: contextOf(el), section: ctx.state.heading, rect: rectOf(el),
  });
}

function readFrame(el, ctx) {
  const rect = rectOf(el), selectors = selectorsOf(el, ctx), path = selectors.length ? [...ctx.frame, selectors[0]] : null;
  let inner = null;
  try { inner = el.contentDocument; } catch (error) { inner = null; }
  const readable = !!(inner && inner.documentElement && path && ctx.frame.length < 4);
  out.frames.push({ path: path || ctx.frame, src: cut(el.src || '', 1000), title: cut(squeeze(el.title), 200), hidden: hiddenReason(el), rect, readable });
  if (readable) readDocument(inner, { frame: path, prefix: '', state: { heading: ctx.state.heading } });
}

function readNode(el, ctx) {
  if (++nodes > MAX_NODES) { out.truncated = true; return; }
  const tag = el.tagName;
  if (tag === 'SCRIPT' || tag === 'STYLE' || tag === 'TEMPLATE' || tag === 'NOSCRIPT') return;
  if (/^H[1-6]$/.test(tag) || attr(el, 'role') === 'heading') {
    const text = textOf(el);
    if (text) {
      ctx.state.heading = text;
      if (out.headings.length < 40 && !hiddenReason(el)) out.headings.push({ level: /^H/.test(tag) ? Number(tag[1]) : Number(attr(el, 'aria-level')) || 2, text: cut(text, 200) });
    }
  }
  if (tag === 'IFRAME' || tag === 'FRAME') { readFrame(el, ctx); return; }
  if (el.matches(CONTROL)) {
    readControl(el, ctx);
    if (el.matches('input,select,textarea')) return;
  } else if (el.matches(BUTTON)) readButton(el, ctx);
  if (el.shadowRoot) {
    const host = selectorsOf(el, ctx)[0];
    if (host) for (const child of el.shadowRoot.children) readNode(child, { ...ctx, prefix: host + ' >>> ' });
  }
  for (const child of childrenOf(el)) readNode(child, ctx);
}

// Radio buttons and check boxes that answer one question: the same name, or the same ARIA group.
function foldSets(from) {
  const sets = new Map();
  for (const control of out.controls.slice(from)) {
    const radio = control.type === 'radio' || control.type === 'aria-radio', box = control.type === 'checkbox' || control.type === 'aria-checkbox';
    if (!radio && !box) continue;
    // `answers[12]` and `answers[13]` are two questions, `skills[]` is one.
    const base = control.name.replace(/\[\]$/, '');
    const holder = radio && control.type === 'aria-radio' ? control.element.closest('[role=radiogroup],[role=group]') || control.element.parentElement : null;
    const key = holder || (control.name ? `${radio ? 'r' : 'c'}|${control.form}|${base}` : control.group_element || control.element);
    if (!sets.has(key)) sets.set(key, []);
    sets.get(key).push(control);
  }
  for (const members of sets.values()) {
    const elements = members.map((member) => member.element), first = members[0];
    const radio = first.type === 'radio' || first.type === 'aria-radio';
    const group = first.group_element;
    const whole = group && !Array.from(group.querySelectorAll(CONTROL)).some((other) => !elements.includes(other) && !/^(text|textarea)$/.test(other.type || ''));
    if (members.length < 2 && !radio && !(whole && first.group && !first.label)) { first.error = errorOf(first.element); first.own_text = ownText(first.element); continue; }
    const set = `set-${++groupCount}`;
    let common = parentElementOf(first.element);
    while (common && !elements.every((element) => common.contains(element))) common = parentElementOf(common);
    const labels = elements.flatMap((element) => Array.from(element.labels || []));
    let question = whole ? first.group : '';
    if (!question && common) {
      let branch = first.element;
      while (parentElementOf(branch) && parentElementOf(branch) !== common) branch = parentElementOf(branch);
      question = (members.length > 1 && branch !== first.element ? textBefore(branch, labels).text : textBefore(first.element, labels).text) || (EDGE.test(common.tagName) ? '' : nearbyOf(common, labels));
      if (!question && /^(UL|OL|TABLE|TBODY|TR)$/.test(common.tagName)) {
        const block = common.closest('ul,ol,table');
        question = textBefore(block, labels).text || (parentElementOf(block) && !EDGE.test(parentElementOf(block).tagName) ? nearbyOf(parentElementOf(block), labels) : '');
      }
    }
    const error = errorOf(first.element, elements), said = ownText(first.element, elements);
    const aria = first.element.closest('[role=radiogroup],[role=group],fieldset');
    const required = !!(aria && (attr(aria, 'aria-required') === 'true' || aria.hasAttribute('data-required')));
    const ids = [aria && whole ? attr(aria, 'id') : '', ...members.map((member) => member.id)];
    const invalid = !!(aria && whole && attr(aria, 'aria-invalid') === 'true');
    for (const member of members) {
      member.set = set;
      member.set_ids = ids;
      member.invalid = member.invalid || invalid;
      member.set_question = cut(question || first.group, MAX_LABEL);
      member.error = error;
      member.own_text = said;
      member.required = member.required || (required && radio);
    }
  }
}

function readDocument(doc, ctx) {
  if (!doc.body) return;
  const from = out.controls.length;
  readNode(doc.body, ctx);
  foldSets(from);
  const told = toldAbove(doc);
  for (const control of out.controls.slice(from)) {
    if (!control.set && !control.error) control.error = errorOf(control.element);
    if (!control.error) control.error = (control.set_ids || [control.id]).map((id) => (id && told.get(id)) || '').find(Boolean) || '';
    if (!control.set && !control.own_text) control.own_text = ownText(control.element);
  }
  const text = (doc.body.innerText || '').replace(/[ \t\u00a0]+/g, ' ').replace(/\n\s*\n+/g, '\n').trim();
  out.text = cut(out.text ? out.text + '\n' + text : text, MAX_TEXT);
  for (const alert of doc.querySelectorAll('[role=alert],[aria-live=assertive],[class*=error-summary i],[class*=alert-danger i],[class*=form-error i]')) {
    const said = hiddenReason(alert) ? '' : textOf(alert);
    if (said && out.alerts.length < 12 && !out.alerts.includes(said)) out.alerts.push(said);
  }
  for (const script of Array.from(doc.querySelectorAll('script[type="application/ld+json"]')).slice(0, 10)) {
    try { if (script.textContent.length < 200000) out.json_ld.push(JSON.parse(script.textContent)); } catch (error) { /* damaged data is no data */ }
  }
  readPairs(doc);
}

function readPairs(doc) {
  const add = (label, value, source) => {
    label = squeeze(label).replace(/\s*:$/, ''); value = squeeze(value);
    if (label && value && label.length <= 80 && out.pairs.length < MAX_PAIRS) out.pairs.push({ label, value: cut(value, 500), source });
  };
  for (const dt of doc.querySelectorAll('dl dt')) {
    const dd = dt.nextElementSibling;
    if (dd && dd.tagName === 'DD' && !hasControl(dd)) add(textOf(dt), textOf(dd), 'dl');
  }
  for (const row of doc.querySelectorAll('tr')) {
    if (row.cells.length === 2 && !hasControl(row)) add(textOf(row.cells[0]), textOf(row.cells[1]), 'table');
  }
  for (const el of doc.querySelectorAll('p,li,div,span')) {
    if (out.pairs.length >= MAX_PAIRS) break;
    if (childrenOf(el).length > 3 || el.querySelector('p,li,div,table,dl,ul,ol') || hasControl(el) || el.closest('label,button,a,dl,table,script,style')) continue;
    const head = el.firstElementChild;
    const match = /^([^:]{2,60}):\s+(.{1,300})$/.exec(textOf(el));
    if (match && !/[.!?]/.test(match[1])) add(match[1], match[2], 'text');
    else if (head && /^(STRONG|B)$/.test(head.tagName) && el.firstChild === head) add(textOf(head), textOf(el).slice(textOf(head).length), 'text');
  }
}

const entry = performance.getEntriesByType('navigation')[0];
if (entry && entry.responseStatus) out.status = entry.responseStatus;
readDocument(document, { frame: [], prefix: '', state: { heading: '' } });
for (const control of out.controls) { delete control.element; delete control.group_element; delete control.set_ids; }
for (const form of out.forms) delete form.element;
return out;
