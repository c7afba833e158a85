export async function loadPage(url: string) {
  // ruleid: function-argument-to-url-js
  const response = await fetch(url);
  return await response.text();
}

export class Converter {
  static async toMarkdown({ filePath, url }: { filePath?: string; url?: string }) {
    if (url) {
      // ruleid: function-argument-to-url-js
      const response = await fetch(url);
      return convert(await response.arrayBuffer());
    }
    return convert(read(filePath));
  }
}

const fetchImage = async (imageUrl: string) => {
  // ruleid: function-argument-to-url-js
  const answer = await axios.get(imageUrl, { responseType: "arraybuffer" });
  return answer.data;
};

async function xmlScrape(currentURL: string, limit: number) {
  // ruleid: function-argument-to-url-js
  const response = await fetch(currentURL);
  return response.text();
}

export async function loadText(url: string) {
  if (!url.startsWith("http")) throw new Error("not an address");
  // ruleid: function-argument-to-url-js
  return (await fetch(url)).text();
}
