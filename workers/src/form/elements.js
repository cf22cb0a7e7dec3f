// What is asked of single elements: whether a person can see them, what names them, what is around them, and how to find them again.
// Stands in front of snapshot.js, whose bounds and lists it uses.

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

// A picture, sound or drawing that the control asks about: near it, larger than an icon and smaller than a page.
function besidePicture(el) {
  for (let node = parentElementOf(el), level = 0; node && level < 4 && !/^(BODY|HTML)$/.test(node.tagName); node = parentElementOf(node), level += 1) {
    for (const picture of Array.from(node.querySelectorAll('img,canvas,svg,audio,picture,object')).slice(0, 8)) {
      const r = rectOf(picture);
      if (picture.tagName === 'AUDIO' || (r.width >= 50 && r.width <= 500 && r.height >= 18 && r.height <= 300 && !hiddenReason(picture))) return true;
    }
    if (Array.from(node.querySelectorAll(CONTROL)).some((other) => other !== el && !hiddenReason(other))) return false;
  }
  return false;
}

// Nothing changes while the page is read: what was asked of an element once is not asked again.
const chains = new WeakMap(), flows = new WeakMap(), readTexts = new WeakMap();

// What an element hides of all that is in it, with all that is around it: why, and how opaque the rest is.
function chainOf(node) {
  let chain = chains.get(node);
  if (chain) return chain;
  const s = styleOf(node), doc = node.ownerDocument.documentElement, parent = parentOf(node);
  const outer = parent && parent.nodeType === 1 ? chainOf(parent) : { why: '', opacity: 1 };
  const opacity = parseFloat(s.opacity) * outer.opacity;
  let why = '';
  if (s.display === 'none') why = 'display';
  else if (opacity < 0.05) why = 'opacity';
  else if (clips(s)) why = 'clip';
  else if ((s.overflowX !== 'visible' || s.overflowY !== 'visible') && node !== node.ownerDocument.body && node !== doc && tiny(node)) why = 'size';
  else if (attr(node, 'aria-hidden') === 'true') why = 'aria-hidden';
  else if (node.inert) why = 'inert';
  else if (parent && parent.tagName === 'DETAILS' && !parent.open && node.tagName !== 'SUMMARY') why = 'details';
  chain = { why: why || outer.why, opacity };
  chains.set(node, chain);
  return chain;
}

const clips = (s) => /rect\(0(px)?,? 0(px)?,? 0(px)?,? 0(px)?\)|rect\(1px,? 1px,? 1px,? 1px\)/.test(s.clip) || /inset\((50|100)%/.test(s.clipPath);
const tiny = (el) => { const box = el.getBoundingClientRect(); return box.width <= 1 || box.height <= 1; };

// Why a person cannot see the element; empty when they can.
function hiddenReason(el) {
  const style = styleOf(el);
  if (style.display === 'none') return 'display';
  if (style.visibility !== 'visible') return 'visibility';
  const doc = el.ownerDocument.documentElement, r = rectOf(el);
  if (r.width <= 1 || r.height <= 1) return 'size';
  if (r.x + r.width <= 0 || r.y + r.height <= 0 || r.x >= Math.max(doc.scrollWidth, doc.clientWidth) + 50) return 'offscreen';
  return chainOf(el).why;
}

// How an element takes part in a text: 0 not at all, 1 within a line, 2 as a block of its own.
function flowOf(el) {
  let flow = flows.get(el);
  if (flow === undefined) {
    const s = styleOf(el);
    flow = s.display === 'none' || s.visibility === 'hidden' ? 0 : s.display === 'inline' ? 1 : 2;
    flows.set(el, flow);
  }
  return flow;
}

const unrendered = (el) => flowOf(el) === 0;

const SKIP = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'TEMPLATE', 'SELECT', 'TEXTAREA', 'BUTTON', 'SVG', 'svg', 'IFRAME', 'OPTION', 'DATALIST']);

// A message about a mistake, not part of what it stands beside; `has-error` and the like mark containers.
function isMessage(el) {
  if (attr(el, 'role') === 'alert') return true;
  return Array.from(el.classList).some((name) => /error|invalid/i.test(name) && !/^(has|is|with|no|show)[-_]/i.test(name)) && !el.matches(CONTROL) && !el.querySelector(CONTROL);
}

// Text a person would read in `el`, without what its controls hold. `force` also reads an element that is itself hidden.
function textOf(el, force) {
  if (!force && readTexts.has(el)) return readTexts.get(el);
  const text = readText(el, force);
  if (!force) readTexts.set(el, text);
  return text;
}

function readText(el, force) {
  let text = '';
  (function read(node, top) {
    if (text.length > MAX_LABEL * 2) return;
    if (node.nodeType === 3) { text += node.data; return; }
    if (node.nodeType !== 1) return;
    if (!top && (SKIP.has(node.tagName) || isMessage(node))) return;
    if (!(top && force) && unrendered(node)) return;
    if (node.tagName === 'IMG') { text += ' ' + (node.alt || '') + ' '; return; }
    if (node.tagName === 'BR') { text += ' '; return; }
    const block = flowOf(node) !== 1;
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
      if (isMessage(sibling) || sibling.tagName.toLowerCase() === 'svg') continue;
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
    const same = parent ? Array.from(childrenOf(parent)).filter((child) => child.localName === node.localName && child.namespaceURI === node.namespaceURI) : [node];
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
  // From the document's root, or from the one element of an id, each step has one way; what begins in a shadow root may begin elsewhere in it too.
  const path = pathOf(el, root);
  if (isShadow(root)) add(path);
  else if (!found.includes(path)) found.push(path);
  return found.map((selector) => ctx.prefix + selector);
}

