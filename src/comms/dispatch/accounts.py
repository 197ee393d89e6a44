"""The providers of one worker, built when first needed and built anew when their set-up changes."""

from __future__ import annotations

import asyncio

import structlog

from comms.actions.setup import Account
from comms.providers.base import Listener, Provider
from comms.providers.catalogue import build
from comms.providers.kind import Tools

log = structlog.get_logger()


class Accounts:
    """One provider an account; connections are kept as long as the account does not change."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._built: dict[str, tuple[Account, Provider]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def provider(self, account: Account) -> Provider:
        """The provider for this account as it is set up now."""
        known = self._built.get(account.provider_id)
        if known and known[0] == account:
            return known[1]
        if known:
            self._close_later(known[1])
        provider = build(account.kind, account.settings, account.secrets, self._tools)
        self._built[account.provider_id] = (account, provider)
        return provider

    def listen(self, accounts: list[Account]) -> None:
        """Have these keep their lines, whether anything is sent or not."""
        for account in accounts:
            try:
                provider = self.provider(account)
            except Exception as error:  # noqa: BLE001 - as for a delivery: what was valid need not stay so
                problem = type(error).__name__
                log.error("provider_not_built", provider_id=account.provider_id, problem=problem)
                continue
            if isinstance(provider, Listener):
                provider.listen(account.provider_id)

    async def close(self) -> None:
        """Release all connections."""
        for _, provider in self._built.values():
            await provider.close()

    def _close_later(self, provider: Provider) -> None:
        task = asyncio.create_task(provider.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
