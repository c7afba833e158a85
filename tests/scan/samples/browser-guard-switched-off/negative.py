from browser_use import Browser, BrowserConfig, BrowserProfile
from playwright.async_api import async_playwright
from selenium.webdriver import ChromeOptions

# ok: browser-guard-switched-off
browser = Browser(config=BrowserConfig(headless=True))
# ok: browser-guard-switched-off
profile = BrowserProfile(disable_security=False, allowed_domains=["example.com"])


async def start():
    playwright = await async_playwright().start()
    # ok: browser-guard-switched-off
    return await playwright.chromium.launch(args=["--mute-audio"])


options = ChromeOptions()
# ok: browser-guard-switched-off
options.add_argument("--headless=new")
# ok: browser-guard-switched-off
parser.add_argument("--disable-web")
