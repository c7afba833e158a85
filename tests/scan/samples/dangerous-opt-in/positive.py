from langchain_community.chains.graph_qa.cypher import GraphCypherQAChain
from langchain_community.vectorstores import FAISS
from langchain_experimental.agents import create_pandas_dataframe_agent

# ruleid: dangerous-opt-in
store = FAISS.load_local("index", embeddings, allow_dangerous_deserialization=True)
# ruleid: dangerous-opt-in
chain = GraphCypherQAChain.from_llm(llm, graph=graph, allow_dangerous_requests=True)
# ruleid: dangerous-opt-in
agent = create_pandas_dataframe_agent(llm, frame, verbose=True, allow_dangerous_code=True)
# ruleid: dangerous-opt-in
serializer = JsonPlusSerializer(pickle_fallback=True)
# ruleid: dangerous-opt-in
options = {"verbose": True, "allow_dangerous_code": True}
