app.get("/login", (req, res) => {
  // ruleid: user-input-to-redirect-js
  res.redirect(req.query.next);
});

export async function GET(request) {
  const target = request.nextUrl.searchParams.get("returnTo");
  // ruleid: user-input-to-redirect-js
  return Response.redirect(target, 302);
}
