"""The web server of the shop assistant."""

from flask import Flask, jsonify, request
from markupsafe import Markup

import assistant
import recommender
import store

app = Flask(__name__)


@app.post("/chat")
def chat():
    body = request.get_json()
    answer = assistant.chat(body.get("history", []), body["question"])
    return jsonify({"answer": answer})


@app.post("/slogan")
def slogan():
    """Write a slogan in the style that the customer asks for."""
    style = request.json["style"]
    response = assistant.client.chat.completions.create(
        model=assistant.CHAT_MODEL,
        messages=[
            {"role": "system", "content": f"You write slogans for a shop in this style: {style}"},
            {"role": "user", "content": "Write one."},
        ],
    )
    return jsonify({"slogan": response.choices[0].message.content})


@app.get("/products/<int:product_id>")
def product(product_id: int):
    """Show a product with a text that the model writes."""
    row = store.product(product_id)
    response = assistant.client.responses.create(
        model=assistant.CHAT_MODEL, input=f"Praise this product in one sentence: {row}"
    )
    praise = Markup(f"<p class='praise'>{response.output_text}</p>")
    return app.jinja_env.get_template("product.html").render(product=row, praise=praise)


@app.get("/products/<int:product_id>/recommendations")
def recommendations(product_id: int):
    return jsonify([store.product(other) for other in recommender.recommend(product_id)])


@app.get("/orders/<customer>")
def orders(customer: str):
    return jsonify(store.orders_of(customer))


@app.post("/discount")
def discount():
    body = request.get_json()
    price = store.product(int(body["product"])).get("price", 0.0)
    return jsonify({"price": assistant.price_with_discount(price, body["sentence"])})


if __name__ == "__main__":
    app.run(port=8080)
