const PAGES = new Set(["/chat", "/settings"]);

app.get("/login", (req, res) => {
  const next = req.query.next;
  // ok: user-input-to-redirect-js
  if (PAGES.has(next)) return res.redirect(next);
  // ok: user-input-to-redirect-js
  return res.redirect("/");
});

app.get("/chat", (req, res) => {
  // ok: user-input-to-redirect-js
  res.redirect(`/chats/${req.query.id}`);
});
