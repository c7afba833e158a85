import urllib.parse


def may_follow(link: str, base_url: str) -> bool:
    # ok: url-prefix-check
    return urllib.parse.urlsplit(link)[:2] == urllib.parse.urlsplit(base_url)[:2]


def kind(url, text, prefix):
    # ok: url-prefix-check
    if url.startswith("https://"):
        return "web"
    # ok: url-prefix-check
    if text.startswith(prefix):
        return "text"
    # ok: url-prefix-check
    return url.startswith(("http:", "https:"))


def local(path, base_dir):
    # ok: url-prefix-check
    return path.startswith(base_dir)


def is_known(video):
    # ok: url-prefix-check
    return video.startswith("https://www.youtube.com/")


def kind_of(base_url):
    # ok: url-prefix-check
    return "own" if base_url.startswith("https://api.example.com") else "other"


def here(address):
    # ok: url-prefix-check
    return address.startswith("http://localhost")
