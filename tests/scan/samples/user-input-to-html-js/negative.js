app.get("/chat", (req, res) => {
  // ok: user-input-to-html-js
  res.send(`<h1>Conversation ${escapeHtml(req.query.session)}</h1>`);
});

app.get("/name", (req, res) => {
  // ok: user-input-to-html-js
  res.send({ name: req.query.name });
});
