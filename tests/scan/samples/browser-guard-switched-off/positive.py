from browser_use import Browser, BrowserConfig, BrowserProfile
from playwright.async_api import async_playwright
from selenium.webdriver import ChromeOptions

# ruleid: browser-guard-switched-off
browser = Browser(config=BrowserConfig(headless=True, disable_security=True))
# ruleid: browser-guard-switched-off
profile = BrowserProfile(disable_security=True)


async def start():
    playwright = await async_playwright().start()
    # ruleid: browser-guard-switched-off
    return await playwright.chromium.launch(args=["--disable-web-security", "--mute-audio"])


options = ChromeOptions()
# ruleid: browser-guard-switched-off
options.add_argument("--disable-site-isolation-trials")
