"""The WebSocket sample of nameko's document, with nothing but its import lines changed."""

from __future__ import annotations

import time
from typing import Any

from tautomer import ApiGatewayService, Broker
from tests.web.sockets.chat import open_client

SAMPLE = '''
import time
from tautomer import websocket_rpc, WebSocketHubProvider
from tautomer import ConnectionNotFound

class ChatService:
    name = "chat_service"

    websocket_hub = WebSocketHubProvider()

    @websocket_rpc
    def join_room(self, socket_id, room_id):
        """Subscribe socket to a chat room"""
        self.websocket_hub.subscribe(socket_id, f'room:{room_id}')

        # Notify other room members
        self.websocket_hub.broadcast(f'room:{room_id}', 'user_joined', {
            'socket_id': socket_id,
            'room_id': room_id,
            'timestamp': time.time()
        })

        return {'status': 'joined', 'room_id': room_id}

    @websocket_rpc
    def leave_room(self, socket_id, room_id):
        """Unsubscribe socket from a chat room"""
        self.websocket_hub.unsubscribe(socket_id, f'room:{room_id}')

        # Notify other room members
        self.websocket_hub.broadcast(f'room:{room_id}', 'user_left', {
            'socket_id': socket_id,
            'room_id': room_id,
            'timestamp': time.time()
        })

        return {'status': 'left', 'room_id': room_id}

    @websocket_rpc
    def send_message(self, socket_id, room_id, message):
        """Send message to all members of a chat room"""
        try:
            # Broadcast message to room
            self.websocket_hub.broadcast(f'room:{room_id}', 'new_message', {
                'message': message,
                'sender': socket_id,
                'room_id': room_id,
                'timestamp': time.time()
            })
            return {'status': 'sent'}
        except ConnectionNotFound:
            return {'status': 'error', 'message': 'Socket not found'}

    @websocket_rpc
    def private_message(self, sender_id, target_id, message):
        """Send private message to specific user"""
        try:
            # Send direct message to target socket
            self.websocket_hub.unicast(target_id, 'private_message', {
                'message': message,
                'sender': sender_id,
                'timestamp': time.time()
            })
            return {'status': 'sent'}
        except ConnectionNotFound:
            return {'status': 'error', 'message': 'Target user not connected'}

    @websocket_rpc
    def get_my_rooms(self, socket_id):
        """Get list of rooms the socket is subscribed to"""
        subscriptions = self.websocket_hub.get_subscriptions(socket_id)
        rooms = [sub.replace('room:', '') for sub in subscriptions if sub.startswith('room:')]
        return {'rooms': rooms}
'''


async def test_the_chat_of_the_document():
    names: dict[str, Any] = {"__name__": "sample"}
    exec(SAMPLE, names)
    gateway = ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1"})
    before = time.time()
    async with Broker("node") as broker:
        await broker.register(names["ChatService"])
        await broker.register(gateway)
        async with open_client("127.0.0.1", gateway.port) as ann, open_client("127.0.0.1", gateway.port) as bob:
            await ann.send("join_room", "c1", room_id="lobby")
            # The joiner sees this first.
            joined = await ann.next()
            assert ("user_joined", ann.socket_id) == (joined["event"], joined["data"]["socket_id"])
            assert before <= joined["data"]["timestamp"]
            assert {"status": "joined", "room_id": "lobby"} == (await ann.next())["data"]
            await bob.call("join_room", room_id="lobby")
            assert {"status": "sent"} == (await bob.call("send_message", room_id="lobby", message="hi"))["data"]
            assert "hi" == (await ann.event("new_message"))["message"]
            answer = await ann.call("private_message", target_id=bob.socket_id, message="psst")
            assert {"status": "sent"} == answer["data"]
            assert ann.socket_id == (await bob.event("private_message"))["sender"]
            nobody = await ann.call("private_message", target_id="nobody", message="psst")
            assert {"status": "error", "message": "Target user not connected"} == nobody["data"]
            assert {"rooms": ["lobby"]} == (await ann.call("get_my_rooms"))["data"]
            assert {"status": "left", "room_id": "lobby"} == (await ann.call("leave_room", room_id="lobby"))["data"]
            assert "user_left" == (await bob.next())["event"]
            assert {"rooms": []} == (await ann.call("get_my_rooms"))["data"]
