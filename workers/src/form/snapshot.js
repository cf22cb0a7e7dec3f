// One reading of one document: every control, button and link with what names it, and what the page says.
// Runs behind loading.js and elements.js as the body of a function in the page (WebDriver "execute script"); changes nothing there. Visible documents of
// the same origin in frames and open shadow roots are read along; other frames are listed under `frames` with `readable: false`.
// The shape of the answer is `Snapshot` in snapshot.rs. Every list and text has a bound, and so has the time.
const MAX_CONTROLS = 600, MAX_BUTTONS = 300, MAX_OPTIONS = 400, MAX_TEXT = 8000, MAX_LABEL = 400, MAX_PAIRS = 120, MAX_NODES = 60000, MAX_FRAMES = 60;
// All lists together; an element deeper than this is below what browsers parse; a page that takes longer to read is read in part.
const MAX_ALL_OPTIONS = 8000, MAX_DEPTH = 600, MAX_MS = 8000, UNTIL = performance.now() + MAX_MS;
const CONTROL = 'input:not([type=hidden]):not([type=submit]):not([type=button]):not([type=image]):not([type=reset]),select,textarea,' +
  '[contenteditable=""],[contenteditable=true],[role=textbox],[role=combobox],[role=listbox],[role=searchbox],[role=spinbutton],' +
  '[role=checkbox],[role=radio],[role=switch],button[aria-haspopup=listbox],[role=button][aria-haspopup=listbox]';
const BUTTON = 'button,input[type=submit],input[type=button],input[type=image],input[type=reset],a[href],[role=button],[role=link]';
const CONTEXT_WORDS = /(newsletter|subscri|search|cookie|consent|footer|header|navbar|navigation|login|signin|sign-in|honeypot|banner|modal|sidebar|comment|chat|feedback|coupon|promo)/gi;
const out = {
  url: isErrorPage() ? document.documentURI.split('?')[0] : location.href, title: document.title, lang: document.documentElement.lang || '', status: null, loaded_at: performance.timeOrigin, ready: document.readyState,
  headings: [], text: '', controls: [], buttons: [], forms: [], frames: [], alerts: [], json_ld: [], pairs: [], truncated: false, depth: depthOf(), loading: false, inert: isInert(document),
};
let order = 0, nodes = 0, groupCount = 0, optionCount = 0;

function spent() {
  if (performance.now() <= UNTIL) return false;
  out.truncated = true;
  return true;
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
  if (toggles.has(el)) return el.matches('[aria-pressed],[aria-checked]') ? 'aria-toggle' : 'toggle';
  // A button that opens a list and then shows what was chosen.
  if (el.tagName === 'BUTTON' || role === 'button') return 'aria-combobox';
  if (['combobox', 'listbox', 'checkbox', 'radio', 'switch', 'spinbutton'].includes(role)) return 'aria-' + role;
  return 'contenteditable';
}

function optionsOf(el) {
  const list = el.tagName === 'SELECT' ? Array.from(el.options) : el.list ? Array.from(el.list.options) : [];
  const most = Math.min(MAX_OPTIONS, MAX_ALL_OPTIONS - optionCount);
  if (list.length > most) out.truncated = true;
  optionCount += Math.min(list.length, most);
  return list.slice(0, most).map((option) => ({
    value: cut(option.value, 200), label: cut(squeeze(option.label || option.text), 200), disabled: option.disabled, selected: !!option.selected,
  }));
}

// Buttons beside each other that may be the answers to one question, in place of radio buttons; whether they are, their words tell.
const toggles = new Map();
const MAX_TOGGLES = 6, MAX_TOGGLE_TEXT = 40;
function findToggles(el) {
  if (toggles.has(el)) return true;
  if (!el.matches('button[type=button],[role=button]:not(a)')) return false;
  let holder = parentElementOf(el);
  if (holder && childrenOf(holder).length === 1) holder = parentElementOf(holder);
  if (!holder || childrenOf(holder).length < 2 || childrenOf(holder).length > MAX_TOGGLES || holder.closest('nav,header,footer,[role=toolbar],[role=tablist],[role=navigation],[role=menu]')) return false;
  const members = Array.from(childrenOf(holder)).map((child) => (child.matches('button,[role=button]') ? child : childrenOf(child).length === 1 ? childrenOf(child)[0] : child));
  const fit = (one) => one.matches('button[type=button],[role=button]:not(a)') && !one.hasAttribute('aria-haspopup') && squeeze(one.textContent) && squeeze(one.textContent).length <= MAX_TOGGLE_TEXT;
  if (!members.includes(el) || !members.every(fit)) return false;
  for (const member of members) toggles.set(member, holder);
  return true;
}

function readControl(el, ctx) {
  if (out.controls.length >= MAX_CONTROLS) { out.truncated = true; return; }
  const type = typeOf(el), [name, source] = toggles.has(el) ? ['', 'none'] : nameOf(el), why = hiddenReason(el), group = groupOf(el);
  const checkable = ['checkbox', 'radio', 'aria-checkbox', 'aria-radio', 'aria-switch'].includes(type);
  const labels = Array.from(el.labels || []);
  let labelVisible = labels.some((label) => !hiddenReason(label) && textOf(label));
  if (!labelVisible && why && type === 'file') {
    for (let node = parentElementOf(el), level = 0; node && level < 3 && !labelVisible && !EDGE.test(node.tagName); node = parentElementOf(node), level += 1) {
      labelVisible = !hiddenReason(node) && !!(textOf(node) || node.querySelector('button'));
    }
  }
  const value = type === 'password' ? '' : type === 'file' ? Array.from(el.files || []).map((file) => file.name).join('\n')
    : type === 'contenteditable' ? textOf(el, true) : type.startsWith('aria-') || toggles.has(el) ? squeeze(el.value !== undefined && el.tagName !== 'BUTTON' ? el.value : el.textContent) : checkable ? attr(el, 'value') || '' : el.value || '';
  let holder = parentElementOf(el), container = '';
  for (let level = 0; holder && level < 4 && !container && !EDGE.test(holder.tagName); holder = parentElementOf(holder), level += 1) container = textOf(holder);
  out.controls.push({
    element: el, order: order++, frame: ctx.frame, selectors: selectorsOf(el, ctx), tag: el.localName, type, role: attr(el, 'role') || '',
    name: cut(attr(el, 'name') || '', 200), id: cut(el.id || '', 200), mark: cut(attr(el, 'data-control') || '', 200), label: cut(name, MAX_LABEL), label_source: source,
    autocomplete: (attr(el, 'autocomplete') || '').toLowerCase().slice(0, 100), placeholder: cut(squeeze(el.placeholder), 200), preset: checkable || type === 'password' ? '' : cut(squeeze(attr(el, 'value')), 200), title: cut(squeeze(el.title), 200),
    input_mode: attr(el, 'inputmode') || '', pattern: cut(attr(el, 'pattern') || '', 200), max_length: el.maxLength > 0 ? el.maxLength : null,
    min: attr(el, 'min') || '', max: attr(el, 'max') || '', accept: cut(attr(el, 'accept') || '', 300), multiple: !!el.multiple,
    required: !!el.required || attr(el, 'aria-required') === 'true' || marksRequired(el), read_only: !!el.readOnly,
    tab_stop: el.tabIndex >= 0 || !el.hasAttribute('tabindex'), options: optionsOf(el), value: cut(value, 2000),
    checked: toggles.has(el) ? looksChosen(el) : checkable ? (el.checked !== undefined && el.tagName === 'INPUT' ? el.checked : attr(el, 'aria-checked') === 'true') : false,
    hidden: why, label_visible: labelVisible, enabled: !el.disabled && !el.matches(':disabled') && attr(el, 'aria-disabled') !== 'true',
    group: group ? group.question : '', group_element: group && group.element, set: '', set_question: '', nearby: nearbyOf(el, labels), after: checkable ? textAfter(el) : '',
    container: cut(container, MAX_LABEL), section: ctx.state.heading, description: describedBy(el), error: '', own_text: '', invalid: attr(el, 'aria-invalid') === 'true',
    native_error: el.willValidate && el.validity && !el.validity.valid ? cut(squeeze(el.validationMessage), MAX_LABEL) : '',
    form: formOf(el), landmark: landmarkOf(el), context: contextOf(el), rect: rectOf(el),
    picture: !why && /^(text|tel|number|textarea)$/.test(type) && besidePicture(el),
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

// What a frame is for may be told by its own names as well as by what is around it.
function contextOfFrame(el) {
  const own = [attr(el, 'id'), attr(el, 'class'), attr(el, 'name'), attr(el, 'title'), attr(el, 'src')].map((text) => cut(text || '', 500)).join(' ');
  return Array.from(new Set([...(own.match(CONTEXT_WORDS) || []).map((word) => word.toLowerCase()), ...contextOf(el)])).slice(0, 12);
}

function readFrame(el, ctx) {
  if (out.frames.length >= MAX_FRAMES) { out.truncated = true; return; }
  const rect = rectOf(el), hidden = hiddenReason(el), selectors = selectorsOf(el, ctx), path = selectors.length ? [...ctx.frame, selectors[0]] : null;
  let inner = null;
  try { inner = el.contentDocument; } catch (error) { inner = null; }
  const readable = !!(inner && inner.documentElement && path && !hidden && ctx.frame.length < 4);
  const frame = {
    path: path || ctx.frame, src: cut(el.src || '', 1000), title: cut(squeeze(el.title), 200), hidden, rect, readable, loaded_at: 0, text: '',
    landmark: landmarkOf(el), context: contextOfFrame(el),
  };
  out.frames.push(frame);
  if (!readable) return;
  frame.loaded_at = inner.defaultView.performance.timeOrigin;
  frame.text = readDocument(inner, { frame: path, prefix: '', state: { heading: ctx.state.heading } });
}

function readNode(el, ctx, depth) {
  if (++nodes > MAX_NODES || depth > MAX_DEPTH) { out.truncated = true; return; }
  if (spent()) return;
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
  } else if (el.matches(BUTTON)) {
    if (findToggles(el)) readControl(el, ctx);
    readButton(el, ctx);
  }
  if (el.shadowRoot) {
    const host = selectorsOf(el, ctx)[0];
    if (host) for (const child of el.shadowRoot.children) readNode(child, { ...ctx, prefix: host + ' >>> ' }, depth + 1);
  }
  for (const child of childrenOf(el)) readNode(child, ctx, depth + 1);
}

// Radio buttons and check boxes that answer one question: the same name, or the same ARIA group.
function foldSets(from) {
  const sets = new Map();
  for (const control of out.controls.slice(from)) {
    const toggle = toggles.get(control.element);
    const radio = control.type === 'radio' || control.type === 'aria-radio' || !!toggle, box = control.type === 'checkbox' || control.type === 'aria-checkbox';
    if (!radio && !box) continue;
    // `answers[12]` and `answers[13]` are two questions, `skills[]` is one.
    const base = control.name.replace(/\[\]$/, '');
    const holder = toggle || radio && control.type === 'aria-radio' ? control.element.closest('[role=radiogroup],[role=group]') || control.element.parentElement : null;
    const key = holder || (control.name ? `${radio ? 'r' : 'c'}|${control.form}|${base}` : control.group_element || control.element);
    if (!sets.has(key)) sets.set(key, []);
    sets.get(key).push(control);
  }
  for (const members of sets.values()) {
    const elements = members.map((member) => member.element), first = members[0];
    const radio = first.type === 'radio' || first.type === 'aria-radio' || toggles.has(first.element);
    const group = first.group_element;
    const whole = group && !Array.from(group.querySelectorAll(CONTROL)).some((other) => !elements.includes(other) && !/^(text|textarea)$/.test(other.type || ''));
    if (spent()) return;
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
  if (!doc.body) return '';
  const from = out.controls.length;
  readNode(doc.body, ctx, 0);
  foldSets(from);
  const told = toldAbove(doc);
  for (const control of out.controls.slice(from)) {
    if (spent()) break;
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
  return cut(text, MAX_TEXT);
}

function readPairs(doc) {
  const add = (label, value, source) => {
    label = squeeze(label).replace(/\s*:$/, ''); value = squeeze(value);
    if (label && value && label.length <= 80 && out.pairs.length < MAX_PAIRS) out.pairs.push({ label, value: cut(value, 500), source });
  };
  // Of an item within an item the inner one's name tells more: `baseSalary` holds `value`, `hiringOrganization` holds `name`.
  for (const el of doc.querySelectorAll('[itemprop]')) {
    if (out.pairs.length >= MAX_PAIRS || spent()) break;
    const holder = parentElementOf(el) && parentElementOf(el).closest('[itemprop][itemscope]');
    if (el.hasAttribute('itemscope') && el.querySelector('[itemprop]')) continue;
    const told = attr(el, 'content') || (el.tagName === 'TIME' && attr(el, 'datetime')) || (el.tagName === 'A' || el.tagName === 'LINK' ? attr(el, 'href') && !textOf(el) && attr(el, 'href') : '') || textOf(el);
    add((holder ? attr(holder, 'itemprop') + ' ' : '') + attr(el, 'itemprop'), told, 'microdata');
  }
  for (const dt of doc.querySelectorAll('dl dt')) {
    const dd = dt.nextElementSibling;
    if (dd && dd.tagName === 'DD' && !hasControl(dd)) add(textOf(dt), textOf(dd), 'dl');
  }
  for (const row of doc.querySelectorAll('tr')) {
    if (out.pairs.length >= MAX_PAIRS || spent()) break;
    if (row.cells.length === 2 && !hasControl(row)) add(textOf(row.cells[0]), textOf(row.cells[1]), 'table');
  }
  for (const el of doc.querySelectorAll('p,li,div,span')) {
    if (out.pairs.length >= MAX_PAIRS || spent()) break;
    if (childrenOf(el).length > 3 || el.querySelector('p,li,div,table,dl,ul,ol')) continue;
    const head = el.firstElementChild, bold = head && /^(STRONG|B)$/.test(head.tagName) && el.firstChild === head;
    if (!bold && !el.textContent.includes(':')) continue;
    if (hasControl(el) || el.closest('label,button,a,dl,table,script,style')) continue;
    const match = /^([^:]{2,60}):\s+(.{1,300})$/.exec(textOf(el));
    if (match && !/[.!?]/.test(match[1])) add(match[1], match[2], 'text');
    else if (bold) add(textOf(head), textOf(el).slice(textOf(head).length), 'text');
  }
}

const entry = performance.getEntriesByType('navigation')[0];
if (entry && entry.responseStatus) out.status = entry.responseStatus;
out.loading = isLoading(document);
readDocument(document, { frame: [], prefix: '', state: { heading: '' } });
for (const control of out.controls) { delete control.element; delete control.group_element; delete control.set_ids; }
for (const form of out.forms) delete form.element;
return out;
