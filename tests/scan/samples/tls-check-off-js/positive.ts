import https from "node:https";
import OpenAI from "openai";

// ruleid: tls-check-off-js
const agent = new https.Agent({ rejectUnauthorized: false });
const client = new OpenAI({ httpAgent: agent });

// ruleid: tls-check-off-js
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";

// ruleid: tls-check-off-js
process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";

// ruleid: tls-check-off-js
const pool = new Pool({ connectionString: URL, ssl: { rejectUnauthorized: false } });
