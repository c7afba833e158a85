import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";

// ruleid: hard-coded-api-key-js
const client = new OpenAI({ apiKey: "sk-proj-9fK2mX7vQz4LrT8wYb3NcE6hUj1GpDs5" });

// ruleid: hard-coded-api-key-js
const claude = new Anthropic({ apiKey: process.env.KEY || "sk-ant-api03-Zq8Wn3Rt6Yv1Lk5Mx9Pb2Hd7Js4Fc" });

// ruleid: hard-coded-api-key-js
const GROQ_API_KEY = "gsk_7Hd2Kq9Zm4Xw1Vb6Tn3Rp8Ls5Jf0Yc7Gt2Qe9Ua4Oi1B";

// ruleid: hard-coded-api-key-js
process.env.OPENAI_API_KEY = "sk-Tq7Zx2Vm9Kd4Wp1Hb6Yn3Rs8Lf5Jc0Ge7Ua";
