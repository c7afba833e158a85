export function mayFollow(link: string, baseUrl: string) {
  // ruleid: url-prefix-check-js
  return link.startsWith(baseUrl);
}

export class Crawler {
  constructor(private rootUrl: string) {}

  wanted(urls: string[]) {
    // ruleid: url-prefix-check-js
    return urls.filter((url) => url.startsWith(this.rootUrl));
  }

  inside(page: { href: string }, allowedOrigin: string) {
    // ruleid: url-prefix-check-js
    if (!page.href.startsWith(allowedOrigin)) return null;
    return page;
  }
}

function isKnown(video) {
  // ruleid: url-prefix-check-js
  return video.startsWith("https://www.youtube.com");
}
