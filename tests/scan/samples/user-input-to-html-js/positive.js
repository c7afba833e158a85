app.get("/chat", (req, res) => {
  // ruleid: user-input-to-html-js
  res.send(`<h1>Conversation ${req.query.session}</h1>`);
});

app.get("/name", (req, res) => {
  const name = req.query.name;
  // ruleid: user-input-to-html-js
  res.send("<p>" + name + "</p>");
});
