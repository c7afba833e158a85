import WebSocket, { WebSocketServer } from "ws";

// ruleid: web-socket-asks-nobody-js
const sockets = new WebSocketServer({ port: 8765 });
sockets.on("connection", (socket) => {
  socket.on("message", (data) => agent.run(JSON.parse(data.toString())));
});

// ruleid: web-socket-asks-nobody-js
const others = new WebSocket.Server({ server });
