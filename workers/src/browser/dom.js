// What acting on a page needs from inside it. Body of a function behind loading.js: arguments are the operation's name and its operands.
const [operation, first, second, third] = arguments;
const squeeze = (text) => (text || '').replace(/[\s\u00a0]+/g, ' ').trim();
const viewOf = (el) => el.ownerDocument.defaultView || window;

function rendered(el) {
  const style = viewOf(el).getComputedStyle(el), rect = el.getBoundingClientRect();
  return style.display !== 'none' && style.visibility === 'visible' && rect.width > 1 && rect.height > 1;
}

function deepAll(selector) {
  let roots = [document];
  const parts = selector.split(' >>> ');
  parts.forEach((part, index) => {
    const found = roots.flatMap((root) => Array.from(root.querySelectorAll(part)));
    roots = index + 1 < parts.length ? found.map((el) => el.shadowRoot).filter(Boolean) : found;
  });
  return roots;
}

// Setting through the prototype's own setter is what frameworks that wrap the element's setter take for typing.
function write(el, value) {
  const view = viewOf(el);
  el.focus();
  if (el.isContentEditable) {
    el.ownerDocument.execCommand('selectAll', false);
    if (!el.ownerDocument.execCommand('insertText', false, value) || squeeze(el.textContent) !== squeeze(value)) el.textContent = value;
  } else {
    const prototype = el.tagName === 'TEXTAREA' ? view.HTMLTextAreaElement.prototype : view.HTMLInputElement.prototype;
    Object.getOwnPropertyDescriptor(prototype, 'value').set.call(el, value);
  }
  el.dispatchEvent(new view.InputEvent('input', { bubbles: true, composed: true, data: value, inputType: 'insertText' }));
  el.dispatchEvent(new view.Event('change', { bubbles: true, composed: true }));
  leave(el);
}

const scroll = (el) => el.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });

// Whether this is the document that was loaded at that time, and not one that came after it.
const isDocument = (loadedAt) => Math.abs(performance.timeOrigin - loadedAt) < 0.001;

function leave(el) {
  if (el.matches(':focus')) el.blur();
  else el.dispatchEvent(new (viewOf(el)).FocusEvent('blur', { bubbles: false, composed: true }));
}

function choose(el, choices) {
  const normal = (text) => squeeze(text).toLowerCase(), options = Array.from(el.options), picked = [];
  for (const choice of choices) {
    const option = options.find((o) => !o.disabled && choice.value != null && o.value === choice.value && normal(o.label || o.text) === normal(choice.label))
      || options.find((o) => !o.disabled && normal(o.label || o.text) === normal(choice.label))
      || options.find((o) => !o.disabled && choice.value != null && choice.value !== '' && o.value === choice.value);
    if (!option) return { missing: choice.label };
    picked.push(option);
  }
  el.focus();
  if (el.multiple) options.forEach((o) => { o.selected = picked.includes(o); });
  else el.selectedIndex = picked[0].index;
  el.dispatchEvent(new (viewOf(el)).Event('input', { bubbles: true, composed: true }));
  el.dispatchEvent(new (viewOf(el)).Event('change', { bubbles: true, composed: true }));
  leave(el);
  return { selected: Array.from(el.selectedOptions).map((o) => ({ label: squeeze(o.label || o.text), value: o.value })) };
}

function stateOf(el) {
  const checkable = el.tagName === 'INPUT' && (el.type === 'checkbox' || el.type === 'radio');
  return {
    tag: el.localName, type: el.tagName === 'INPUT' ? el.type : '', role: el.getAttribute('role') || '', editable: !!el.isContentEditable,
    value: el.isContentEditable ? squeeze(el.textContent) : el.value === undefined ? squeeze(el.textContent) : String(el.value),
    checked: checkable ? el.checked : looksChosen(el),
    files: el.files ? Array.from(el.files).map((file) => file.name) : [],
    enabled: !el.disabled && !el.matches(':disabled'), read_only: !!el.readOnly, rendered: rendered(el),
    complaint: el.validity && !el.validity.valid && !el.validity.valueMissing ? squeeze(el.validationMessage) : '',
  };
}

// Options a widget shows: in the list it names, else in any visible list.
function optionsOf(el) {
  const root = el.getRootNode(), ids = `${el.getAttribute('aria-controls') || ''} ${el.getAttribute('aria-owns') || ''}`.split(/\s+/).filter(Boolean);
  const lists = ids.map((id) => root.getElementById && root.getElementById(id)).filter(Boolean);
  const scopes = lists.length ? lists : [el, ...Array.from(document.querySelectorAll('[role=listbox]')).filter(rendered)];
  const options = scopes.flatMap((scope) => Array.from(scope.querySelectorAll('[role=option]'))).filter(rendered);
  return options.slice(0, 300).map((option) => ({ element: option, label: squeeze(option.getAttribute('aria-label') || option.innerText), disabled: option.getAttribute('aria-disabled') === 'true' }));
}

switch (operation) {
  case 'document': {
    const [entry] = performance.getEntriesByType('navigation');
    return { loaded_at: performance.timeOrigin, parsed: !entry || entry.domContentLoadedEventEnd > 0 };
  }
  case 'find': {
    // A frame that went away leaves its driver in the document on top, without a word.
    if (depthOf() !== third) return { lost: true };
    if (second != null && !isDocument(second)) return null;
    for (const selector of first) {
      try {
        const found = deepAll(selector);
        if (found.length === 1) {
          scroll(found[0]);
          return { element: found[0], state: stateOf(found[0]) };
        }
      } catch (error) { /* a selector this browser does not know finds nothing */ }
    }
    return null;
  }
  case 'state': return stateOf(first);
  case 'write': write(first, second); return stateOf(first);
  case 'leave': leave(first); return stateOf(first);
  case 'choose': return choose(first, second);
  case 'scroll': scroll(first); return rendered(first);
  case 'place': { const { x, y, width, height } = first.getBoundingClientRect(); return [x, y, width, height].map(Math.round); }
  case 'aim': {
    // A point of the element, from the middle of what is in view of it (WebDriver, "in-view center point"); null where something else is on top of it.
    const view = viewOf(first), rect = first.getBoundingClientRect();
    const clip = (from, to, end) => [Math.max(0, from), Math.min(end, to)];
    const [left, right] = clip(rect.left, rect.right, view.innerWidth), [top, bottom] = clip(rect.top, rect.bottom, view.innerHeight);
    const x = Math.round(left + (right - left) * second), y = Math.round(top + (bottom - top) * third);
    const hit = first.getRootNode().elementFromPoint(x, y);
    if (!hit || !(hit === first || first.contains(hit))) return null;
    return [x - (left + right) / 2, y - (top + bottom) / 2].map(Math.round);
  }
  case 'click': first.click(); return stateOf(first);
  case 'label': return Array.from(first.labels || []).find(rendered) || null;
  case 'options': return optionsOf(first);
  case 'around': {
    // The element's own text, then that of what is around it, from the inside out.
    const texts = [squeeze(`${first.value !== undefined ? first.value : ''} ${first.innerText || ''}`)];
    for (let node = first.parentElement, level = 0; node && level < 3; node = node.parentElement, level += 1) texts.push(squeeze(node.innerText));
    return texts;
  }
  case 'mentions': return (document.body ? document.body.innerText : '').includes(first);
}
return null;
