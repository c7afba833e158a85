import https from "node:https";
import { readFileSync } from "node:fs";

// ok: tls-check-off-js
const agent = new https.Agent({ ca: readFileSync("authority.pem") });

// ok: tls-check-off-js
const strict = new https.Agent({ rejectUnauthorized: true });

// ok: tls-check-off-js
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "1";

// ok: tls-check-off-js
const setting = new https.Agent({ rejectUnauthorized: options.strict });
