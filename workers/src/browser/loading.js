// What several scripts ask of a document; stands in front of them.

// Whether this is Firefox's own page about one that it could not open; its location is the one that was wanted.
function isErrorPage() {
  return /^about:(neterror|certerror)/.test(document.documentURI);
}

// Frames between this document and the top.
function depthOf() {
  let depth = 0;
  for (let view = window; view !== view.parent; view = view.parent) depth += 1;
  return depth;
}

// The line says this and nothing else: "Loading dock worker" is a job.
const SAYS_SO = /^\s*(loading|please wait|one moment|hang on)(,? (while )?(we )?(load |prepare )?((the|your) )?(application|form|page|content|questions?|data|details|posting|job))?(,? please)?\s*(\u2026|\.{1,3})?\s*$/i;

// Whether the document says that something is still on its way: marked as busy, shown as a spinner or a skeleton, or said in words.
function isLoading(doc) {
  const candidates = doc.querySelectorAll('[aria-busy=true],[role=progressbar]:not([aria-valuenow]),[class*=spinner i],[class*=load i],[class*=skeleton i],[class*=shimmer i]');
  // A class names a part of the page ("file-uploader", "lazy-loaded"): only these words, and nothing that holds content.
  const named = (el) => (el.getAttribute('class') || '').split(/\s+/).some((name) => /(^|[-_])(spinner|loader|preloader|loading|skeleton|shimmer)($|[-_])/i.test(name))
    && !el.querySelector('input,select,textarea,button') && (el.textContent || '').length < 60;
  const shown = (el) => {
    const rect = el.getBoundingClientRect();
    return rect.width > 1 && rect.height > 1 && (!el.checkVisibility || el.checkVisibility({ opacityProperty: true, visibilityProperty: true }));
  };
  for (const el of Array.from(candidates).slice(0, 200)) {
    if ((el.matches('[aria-busy=true],[role=progressbar]') || named(el)) && shown(el)) return true;
  }
  if (!doc.body || doc.body.textContent.length > 20000) return false;
  return doc.body.innerText.split('\n').some((line) => SAYS_SO.test(line));
}

// Whether nothing but its visitor changes the document any more: all of it has come, and nothing in it acts by itself or answers an event.
function isInert(doc) {
  return doc.readyState === 'complete' && !doc.querySelector('script:not([type$=json]),iframe,frame,object,embed,meta[http-equiv=refresh i]')
    && !performance.getEntriesByType('resource').some((entry) => entry.initiatorType === 'script') && !doc.getAnimations().length
    && !doc.evaluate('boolean(//@*[starts-with(name(), "on")])', doc, null, XPathResult.BOOLEAN_TYPE, null).booleanValue
    && !Array.from(doc.querySelectorAll('*')).some((el) => el.shadowRoot);
}

// Whether a button is the chosen one of its kind: it says so, or its class does and that of its siblings does not.
const CHOSEN = /(^|[-_\s])(active|selected|checked|pressed|chosen)($|[-_\s])/i;
function looksChosen(el) {
  const told = ['aria-checked', 'aria-pressed', 'aria-selected'].filter((name) => el.hasAttribute(name));
  if (told.length) return told.some((name) => el.getAttribute(name) === 'true');
  const named = (one) => CHOSEN.test(one.getAttribute('class') || '');
  return named(el) && !Array.from((el.parentElement || el).children).every(named);
}
