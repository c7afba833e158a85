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
