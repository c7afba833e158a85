import { WebSocketServer } from "ws";

// ok: web-socket-asks-nobody-js
const sockets = new WebSocketServer({
  port: 8765,
  verifyClient: ({ req }) => req.headers.host === HOST,
});
