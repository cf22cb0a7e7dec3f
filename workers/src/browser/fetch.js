// Asks for a file as the page itself would, with its visitor's cookies. What the page may not read is not read here either.
const [address, bytesMax] = arguments;
const request = new XMLHttpRequest();
try {
  request.open('GET', address, false);
  request.overrideMimeType('text/plain; charset=x-user-defined');
  request.send();
} catch (_) {
  return { refused: true };
}
const text = request.responseText;
if (request.status >= 400) {
  return { status: request.status };
}
if (text.length > bytesMax) {
  return { bytes: text.length };
}
const codes = [];
for (let at = 0; at < text.length; at += 8192) {
  const some = text.slice(at, at + 8192);
  codes.push(String.fromCharCode(...Array.from(some, (c) => c.charCodeAt(0) & 0xff)));
}
return {
  content: btoa(codes.join('')),
  content_type: (request.getResponseHeader('Content-Type') || 'application/octet-stream').split(';')[0].trim(),
};
