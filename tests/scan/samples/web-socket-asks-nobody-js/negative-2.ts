import { WebSocketServer } from "ws";

// ok: web-socket-asks-nobody-js
const sockets = new WebSocketServer({ noServer: true });
server.on("upgrade", (request, socket, head) => {
  if (!ALLOWED.has(request.headers.origin)) return socket.destroy();
  sockets.handleUpgrade(request, socket, head, serve);
});
