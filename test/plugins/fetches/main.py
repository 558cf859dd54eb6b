"""Fetches an address with the HTTP clients that plugins use, each as its first example in its own documentation."""

import asyncio
import urllib.request

import aiohttp
import httpx
import requests

import berth_protocol


def with_requests(url):
    return requests.get(url, timeout=10).text


def with_httpx(url):
    return httpx.get(url, timeout=10).text


def with_urllib(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


async def with_aiohttp(url, **options):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10), **options) as session:
        async with session.get(url) as answer:
            return await answer.text()


CLIENTS = {
    "requests": with_requests,
    "httpx": with_httpx,
    "urllib": with_urllib,
    "aiohttp": lambda url: asyncio.run(with_aiohttp(url)),
    "aiohttp(trust_env)": lambda url: asyncio.run(with_aiohttp(url, trust_env=True)),
}


def handle(session):
    for name, fetch in CLIENTS.items():
        try:
            session.text(f"{name}: {fetch(session.parameters['url'])}")
        except Exception as error:
            session.text(f"{name}: {type(error).__name__} {error}")


if __name__ == "__main__":
    berth_protocol.serve(handle)
