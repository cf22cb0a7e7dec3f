// How long the document has loaded and kept still, in milliseconds; null while it loads. The first call begins to watch.
const key = Symbol.for('valet.settle');
if (!window[key]) {
  const watch = { last: performance.now() };
  const observer = new MutationObserver((changes) => {
    if (changes.some((change) => change.type !== 'attributes' || change.attributeName !== 'style')) watch.last = performance.now();
  });
  observer.observe(document, { childList: true, subtree: true, attributes: true, characterData: true });
  window[key] = watch;
}
return document.readyState === 'complete' ? performance.now() - window[key].last : null;
