"""LangGraph's checkpoint savers and long-term stores."""
