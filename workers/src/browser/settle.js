// How this document is: whether it has loaded and for how many milliseconds it has kept still (null while it loads), whether it waits for
// something, and the visible frames that may hold a form. The first call begins to watch; of what cannot move nobody need wait to see it.
const key = Symbol.for('valet.settle'), FRAME_MIN_AREA = 20000, MAX_FRAMES = 6, FOR_EVER = 1e9;
if (!window[key]) {
  const watch = { last: performance.now() };
  const observer = new MutationObserver((changes) => {
    if (changes.some((change) => change.type !== 'attributes' || change.attributeName !== 'style')) watch.last = performance.now();
  });
  observer.observe(document, { childList: true, subtree: true, attributes: true, characterData: true });
  window[key] = watch;
}
const area = (el) => { const rect = el.getBoundingClientRect(); return rect.width * rect.height; };
const frames = Array.from(document.querySelectorAll('iframe,frame')).filter((el) => area(el) >= FRAME_MIN_AREA).slice(0, MAX_FRAMES);
const bare = () => {
  const body = document.body;
  if (!body || frames.length) return !body;
  return body.textContent.length < 5000 && !body.innerText.trim() && !body.querySelector('input:not([type=hidden]),select,textarea,button,img,canvas,svg,object')
    && !Array.from(body.querySelectorAll('*')).slice(0, 500).some((el) => el.shadowRoot);
};
const stillFor = () => isInert(document) ? FOR_EVER : performance.now() - window[key].last;
return {
  still: document.readyState === 'complete' ? stillFor() : null,
  waits: isLoading(document) || bare(), loaded_at: performance.timeOrigin, depth: depthOf(), address: location.protocol, frames,
};
