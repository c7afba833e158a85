/*
  Our own rules. Tags say where a rule is looked for: user, tool (results of tools), answer, system
  (also of developers); without one, everywhere. `action` is block or redact.
*/

rule template_marks : user tool {
  meta:
    description = "marks that separate the speakers of a chat, in a text of one of them"
    action = "block"
  strings:
    $a = "<|im_start|>" nocase
    $b = "<|im_end|>" nocase
    $c = "<|start_header_id|>" nocase
    $d = "<|eot_id|>" nocase
    $e = "<<SYS>>"
    $f = /\[INST\][^\[]{0,400}\[\/INST\]/
  condition:
    any of them
}

rule hidden_letters : user tool answer {
  meta:
    description = "letters of Unicode's tag block, which models read and people do not see"
    action = "redact"
  strings:
    // flags of regions begin with U+1F3F4 and are short
    $tags = /(\xf3\xa0[\x80\x81][\x80-\xbf]){7,2000}/
  condition:
    $tags
}

rule terminal_escapes : tool answer {
  meta:
    description = "sequences that move the cursor, set the title or the clipboard of a terminal"
    action = "redact"
  strings:
    $csi = /\x1b\[[0-9;?]{0,30}[A-HJKSTfhlnsu]/
    $osc = /\x1b\][0-9]{1,4};[^\x07\x1b]{0,500}(\x07|\x1b\\)/
  condition:
    any of them
}

rule image_carries_data : answer {
  meta:
    description = "an image whose address carries a long value: showing it sends the value away"
    action = "redact"
  strings:
    $markdown = /!\[[^\]]{0,200}\]\(https?:\/\/[^\s)]{1,300}[?&][A-Za-z0-9_.-]{1,40}=[^\s)&]{24,2000}\)/ nocase
    $html = /<img[^>]{1,200}src\s{0,3}=\s{0,3}["']?https?:\/\/[^\s"'>]{1,300}[?&][A-Za-z0-9_.-]{1,40}=[^\s"'>&]{24,2000}[^>]{0,200}>/ nocase
  condition:
    any of them
}

rule active_content : answer {
  meta:
    description = "HTML that runs as a script where an answer is shown as it is"
    action = "redact"
  strings:
    $handler = /<(img|svg|body|iframe|details|video|input)\b[^>]{0,300}\son(error|load|toggle|focus|mouseover|start)\s{0,3}=[^>]{1,500}>/ nocase
    $address = /\]\(\s{0,5}(javascript|vbscript):[^)]{1,500}\)/ nocase
  condition:
    any of them
}

rule collector_address : tool answer {
  meta:
    description = "the address of a service that records what is sent to it"
    action = "block"
  strings:
    $a = /https?:\/\/[a-z0-9.-]{0,80}\b(webhook\.site|requestbin\.(com|net)|pipedream\.net|interact\.sh|interactsh\.com|oast\.(fun|pro|live|site|online|me)|burpcollaborator\.net|requestcatcher\.com|beeceptor\.com|dnslog\.cn)\// nocase
    $b = /\b[a-z0-9-]{4,63}\.(oast\.(fun|pro|live|site|online|me)|burpcollaborator\.net|interact\.sh|dnslog\.cn)\b/ nocase
  condition:
    any of them
}

rule metadata_service : tool answer {
  meta:
    description = "the address from which a cloud machine reads its own credentials"
    action = "block"
  strings:
    $aws = /169\.254\.169\.254\/(latest\/(meta-data\/iam|api\/token|user-data)|metadata\/identity)/
    $gcp = "metadata.google.internal/computeMetadata/v1/instance/service-accounts" nocase
    $ecs = "169.254.170.2/v2/credentials"
  condition:
    any of them
}

rule reverse_shell : tool {
  meta:
    description = "a command that hands a shell of this machine to somebody else"
    action = "block"
  strings:
    $bash = /\b(ba|z|da|k)?sh\s{1,3}-i\s{0,3}[0-9>&]{0,4}\s{0,3}>?&?\s{0,3}\/dev\/(tcp|udp)\/[^\s\/]{1,253}\/[0-9]{1,5}/
    $exec = /exec\s{1,3}[0-9]{1,3}<>\s{0,3}\/dev\/(tcp|udp)\//
    $nc = /\b(nc|ncat|netcat)\b[^\n;|]{0,120}\s(-e|-c|--exec|--sh-exec)\s{1,3}["']?\/?(bin\/)?(ba)?sh\b/
    $fifo = /mkfifo\s{1,3}[^\s;]{1,100}\s{0,3}[;&][^\n]{0,200}\|\s{0,3}\/?(bin\/)?(ba)?sh\s{1,3}-i[^\n]{0,100}\|\s{0,3}(nc|ncat|netcat|openssl)\b/
    $python = /socket\.socket\([^\n]{0,200}\.connect\(\([^\n]{1,200}os\.dup2\([^\n]{1,300}(pty\.spawn|subprocess\.|os\.exec)/
  condition:
    any of them
}

rule download_and_run : tool {
  meta:
    description = "a command that fetches a program and runs it at once"
    action = "block"
  strings:
    $pipe = /\b(curl|wget)\b[^\n|;&]{1,300}\bhttps?:\/\/[^\n|;&]{1,300}\|\s{0,3}(sudo\s{1,3})?(env\s{1,3})?(\/?(usr\/)?bin\/)?(ba|z|da)?sh\b[^\n]{0,20}/
    $powershell = /\b(iex|invoke-expression)\b[^\n]{0,60}(downloadstring|invoke-webrequest|iwr|irm|invoke-restmethod)\b/ nocase
    $encoded = /powershell(\.exe)?\s[^\n]{0,120}-e(nc|ncodedcommand)?\s{1,3}[A-Za-z0-9+\/=]{40,8000}/ nocase
    $certutil = /certutil(\.exe)?\s[^\n]{0,60}-urlcache\s[^\n]{0,60}https?:/ nocase
  condition:
    any of them
}

rule destroys_data : tool {
  meta:
    description = "a command that deletes what cannot be had again"
    action = "block"
  strings:
    $rm = /\brm\s{1,3}(-[a-zA-Z]{1,6}\s{1,3}){0,3}-[a-zA-Z]{0,5}[rR][a-zA-Z]{0,5}\s{1,3}(-[a-zA-Z-]{1,20}\s{1,3}){0,3}(--no-preserve-root\s{1,3})?(\/\*?|~\/?\*?|\$HOME\/?\*?)(\s|$|;|&|")/
    $dd = /\bdd\s[^\n]{0,80}of=\/dev\/(sd[a-z]|nvme[0-9]n[0-9]|disk[0-9])\b/
    $mkfs = /\bmkfs(\.[a-z0-9]{2,6})?\s[^\n]{0,40}\/dev\/(sd[a-z]|nvme)/
    $fork = ":(){ :|:& };:"
    $shadow = /vssadmin(\.exe)?\s{1,3}delete\s{1,3}shadows/ nocase
  condition:
    any of them
}

rule program_in_text : user tool answer {
  meta:
    description = "a program or a pickle, written as base64"
    action = "block"
  strings:
    $pe = /\bTV[opqr][A-Za-z0-9+\/]{120,}/
    $elf = /\bf0VMRg[EI][A-Za-z0-9+\/]{120,}/
    $macho = /\b(z\/rt\/g|yv66vg)[A-Za-z0-9+\/]{120,}/
    // a frame whose first value is a name, as that of what is to be called
    $pickle = /\bgA[SU]V[A-Za-z0-9+\/]{8}AACM[A-Za-z0-9+\/]{30,}/
  condition:
    any of them
}

rule test_file : user tool answer {
  meta:
    description = "EICAR's test file, with which a filter is tried"
    action = "block"
  strings:
    $a = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-"
  condition:
    $a
}

rule private_key : user tool answer {
  meta:
    description = "a private key"
    action = "redact"
  strings:
    $pem = /-----BEGIN ([A-Z0-9]{1,12} ){0,2}PRIVATE KEY( BLOCK)?-----[A-Za-z0-9+\/=\s:,.-]{40,8000}-----END ([A-Z0-9]{1,12} ){0,2}PRIVATE KEY( BLOCK)?-----/
    $putty = /PuTTY-User-Key-File-[23]:[^\n]{1,60}\n[A-Za-z0-9+\/=\s:.,@_-]{40,8000}Private-MAC: [0-9a-f]{40,64}/
  condition:
    any of them
}

rule orders_in_a_tool : tool {
  meta:
    description = "a block that speaks to the model, in what a tool returns, and wants to be kept from the user"
    action = "block"
  strings:
    $block = /<(important|system|instructions?|admin|secret)>|\[(system|admin)( message| note)?\]/ nocase
    $keep = /\b(do not|don't|never|without)\s{1,3}(\w{1,12}\s{1,3}){0,2}(tell|telling|inform|informing|mention|mentioning|notify|notifying|alert|alerting|show|showing|reveal|revealing)\s{1,3}(\w{1,12}\s{1,3}){0,4}(the\s)?user\b/ nocase
    $file = /(~|\/home\/[a-z0-9_-]{1,32}|\/root)\/\.(ssh\/id_|aws\/credentials|cursor\/mcp|config\/gcloud|npmrc|netrc|env\b)/
  condition:
    ($block and ($keep or $file)) or ($keep and $file)
}

rule web_shell : tool answer {
  meta:
    description = "a page that runs what is sent to it"
    action = "block"
  strings:
    $php = /<\?php[^?]{0,300}\b(eval|assert|system|passthru|shell_exec|exec)\s{0,3}\(\s{0,3}(base64_decode\s{0,3}\(\s{0,3})?\$_(GET|POST|REQUEST|COOKIE)\b/ nocase
    $jsp = /Runtime\.getRuntime\(\)\.exec\(\s{0,3}request\.getParameter\(/
    $aspx = /eval\s{0,3}\(\s{0,3}Request(\.Item)?\s{0,3}\[/ nocase
  condition:
    any of them
}

rule miner : tool answer {
  meta:
    description = "the address of a pool for which a miner works"
    action = "block"
  strings:
    $a = /\bstratum(\+tcp|\+ssl|2\+tcp)?:\/\/[a-z0-9.-]{3,253}:[0-9]{2,5}/ nocase
    $b = /\bxmrig\b[^\n]{0,200}\s(-o|--url)[ =]/
  condition:
    any of them
}
