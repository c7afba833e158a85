import urllib.parse


def address(url: str, values: dict) -> str:
    for name, value in values.items():
        # ruleid: path-parameter-unquoted
        url = url.replace("{" + name + "}", str(value))
    return url


def build(path_template, arguments):
    url_path = path_template
    for name, value in arguments.items():
        placeholder = f"{{{name}}}"
        if placeholder in url_path:
            # ruleid: path-parameter-unquoted
            url_path = url_path.replace(placeholder, str(value))
    return url_path


class Operation:
    def endpoint_for(self, item_id):
        endpoint = self.endpoint
        for key in self.keys:
            # ruleid: path-parameter-unquoted
            endpoint = endpoint.replace(f"{{{key}}}", item_id)
        return endpoint
