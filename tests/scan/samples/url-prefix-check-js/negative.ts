export function mayFollow(link: string, baseUrl: string) {
  // ok: url-prefix-check-js
  return new URL(link).origin === new URL(baseUrl).origin;
}

export function kind(url: string, text: string, prefix: string) {
  // ok: url-prefix-check-js
  if (url.startsWith("https://")) return "web";
  // ok: url-prefix-check-js
  if (text.startsWith(prefix)) return "text";
  // ok: url-prefix-check-js
  return url.startsWith("/") ? "path" : "other";
}

function isKnown(video) {
  // ok: url-prefix-check-js
  return video.startsWith("https://www.youtube.com/");
}

function kindOf(baseUrl) {
  // ok: url-prefix-check-js
  return baseUrl.startsWith("https://api.example.com") ? "own" : "other";
}
