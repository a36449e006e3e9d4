from authlib.integrations.requests_client import OAuth2Session


def is_active(url, client_id, client_secret, token, method="client_secret_basic"):
    """Whether the token of a session is good. The secret is a userlock token, and the id is its subject."""
    client = OAuth2Session(client_id, client_secret, token_endpoint_auth_method=method)
    answer = client.introspect_token(url + "/oauth/v2/introspect", token=token)
    answer.raise_for_status()
    return answer.json()["active"]
