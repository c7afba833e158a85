import urllib.parse


def may_follow(link: str, base_url: str) -> bool:
    # ruleid: url-prefix-check
    return link.startswith(base_url)


class Crawler:
    def wanted(self, urls):
        # ruleid: url-prefix-check
        return [url for url in urls if url.startswith(self.root_url)]

    def inside(self, page):
        # ruleid: url-prefix-check
        if not page.href.startswith(self.allowed_origin):
            return None
        return page


def is_known(video):
    # ruleid: url-prefix-check
    return video.startswith("https://www.youtube.com") or video.startswith("https://youtu.be/")
