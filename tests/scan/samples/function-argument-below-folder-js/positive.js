const path_1 = __importDefault(require("path"));
const fs_1 = __importDefault(require("fs"));

class LocalFileStore {
  getFullPath(key) {
    // ruleid: function-argument-below-folder-js
    return path_1.default.join(this.rootPath, key);
  }

  async write(fileName, text) {
    const target = path_1.default.resolve(this.rootPath, fileName);
    // ruleid: function-argument-below-folder-js
    await fs_1.default.promises.writeFile(target, text);
  }
}

const addFiles = async (content, fileName, ...paths) => {
  const dir = path_1.default.join(getStoragePath(), ...paths);
  // ruleid: function-argument-below-folder-js
  fs_1.default.writeFileSync(dir, content);
};

function readUpload(fileId) {
  // ruleid: function-argument-below-folder-js
  return fs_1.default.readFileSync(path_1.default.join(UPLOAD_DIR, fileId));
}

class TextStore {
  async get(key) {
    // ruleid: function-argument-below-folder-js
    return fs.readFile(this.fullPath(key));
  }

  fullPath(key) {
    const name = `${key}.txt`;
    // ruleid: function-argument-below-folder-js
    return path.join(this.rootPath, name);
  }
}
