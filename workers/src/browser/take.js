// What selectors find in the document on top: of each element its text, or an attribute. Nothing is changed.
const [asked, itemsMax, charsMax] = arguments;

const find = (selector) => {
  let roots = [document];
  let found = [];
  for (const part of selector.split(' >>> ')) {
    found = roots.flatMap((root) => [...root.querySelectorAll(part)]);
    roots = found.map((element) => element.shadowRoot).filter(Boolean);
  }
  return found;
};

// Where an attribute is an address, the property is the absolute one.
const ADDRESSES = ['href', 'src', 'action', 'poster'];
const value = (element, attribute) => {
  if (!attribute) {
    return (element.innerText ?? element.textContent ?? '').trim();
  }
  const known = ADDRESSES.includes(attribute.toLowerCase()) ? element[attribute.toLowerCase()] : undefined;
  return typeof known === 'string' ? known : element.getAttribute(attribute);
};

const navigation = performance.getEntriesByType('navigation')[0];
return {
  status: (navigation && navigation.responseStatus) || null,
  taken: asked.map(({ selector, attribute }) => {
    try {
      const found = find(selector).slice(0, itemsMax).map((element) => value(element, attribute));
      return found.filter((text) => text !== null).map((text) => String(text).slice(0, charsMax));
    } catch (_) {
      return null;
    }
  }),
};
