"""Nothing that a page says is lost when its visitor's connection is replaced."""

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import websocket_session_manager
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.session_manager import SessionClient, SessionClientDisconnectedError
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

from dashboard.reconnecting import follow_reconnections


class Connection(SessionClient):
    def __init__(self):
        self.received, self.lost = [], False

    def write_forward_msg(self, msg):
        if self.lost:
            raise SessionClientDisconnectedError
        self.received.append(msg)

    @property
    def client_context(self):
        return self


class Session:
    """What the manager asks of a session, without a script."""

    id = "tab"

    def __init__(self, **_):
        pass

    def __getattr__(self, name):
        return lambda *_, **__: True


@pytest.fixture
def manager(monkeypatch):
    monkeypatch.setattr(
        WebsocketSessionManager, "disconnect_session", WebsocketSessionManager.disconnect_session
    )
    monkeypatch.setattr(websocket_session_manager, "AppSession", Session)
    follow_reconnections()
    return WebsocketSessionManager(MemorySessionStorage(), None, type("Cache", (), {"clear": print})(), None)


@pytest.mark.parametrize("noticed", [True, False], ids=["loss noticed", "loss not noticed"])
def test_what_was_meant_for_a_lost_connection_reaches_the_next(manager, noticed):
    """The order of the server's loop: it lists its visitors, one of them reconnects, then it sends."""
    first, second = Connection(), Connection()
    tab = manager.connect_session(first, None, {})
    (listed,) = manager.list_active_sessions()
    first.lost = True
    if noticed:
        manager.disconnect_session(tab)
        with pytest.raises(SessionClientDisconnectedError):
            listed.client.write_forward_msg(ForwardMsg())  # nobody is there yet
    assert manager.connect_session(second, None, {}, existing_session_id=tab) == tab
    beginning = ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY)
    listed.client.write_forward_msg(beginning)
    assert second.received == [beginning]
    assert manager.get_active_session_info(tab).client is second
