"""Kinds of words that orders to a model are made of, in seven languages.

A pair of kinds that stand near each other ("ignore … instructions", "ignoriere … Anweisungen") says
more than the words do, and is learned once for all of them. The lists are our own.
"""

from __future__ import annotations

__all__ = ["KINDS"]

_LISTS = {
    "drop": """
        ignore ignoring ignored disregard disregarding forget override overrides overriding
        bypass bypassing neglect skip discard overlook dismiss cancel erase abandon void
        nullify supersede supersedes supersede replace reset ignoriere ignorier ignorieren
        ignoriert vergiss vergessen missachte übergehe ignora ignorar ignore olvida olvidar
        olvide omite oublie oubliez oublier ignorez ignorer esqueça esquece desconsidere
        negeer vergeet dimentica scorda trascura
    """,
    "orders": """
        instruction instructions direction directions directive directives guideline
        guidelines rule rules command commands order orders policy policies constraint
        constraints programming protocol protocols task tasks anweisung anweisungen befehl
        befehle regel regeln vorgabe vorgaben instruktion instruktionen aufgabe aufgaben
        instrucción instrucciones orden órdenes regla reglas consigne consignes règle règles
        instruções instrução regra regras ordens istruzione istruzioni regole ordini
        instructie instructies regels opdracht opdrachten
    """,
    "before": """
        previous previously prior above preceding earlier foregoing initial original
        existing former past all any every everything anything before so far vorherige
        vorherigen bisherige bisherigen obige obigen vorigen alle alles anterior anteriores
        previas previa previos todo todas todos précédent précédente précédentes antérieures
        toutes tout tudo todas precedenti precedente tutte tutto vorige eerdere
    """,
    "reveal": """
        show reveal print repeat output display leak tell give share disclose expose spell
        dump recite say write list copy translate encode summarize summarise reply respond
        answer type state zeig zeige nenne verrate verrat gib wiederhole sag sage schreib
        schreibe muestra muéstrame revela dime di imprime repite escribe montre révèle
        affiche dis répète écris mostra mostre revele diga escreva rivela dimmi stampa
        ripeti scrivi toon herhaal geef
    """,
    "secret": """
        secret secrets hidden password passwords passcode key keys confidential code codes
        credential credentials token tokens flag prompt prompts passwort geheim geheime
        geheimnis schlüssel secreto secreta contraseña clave mot senha segredo segreto
        segreta wachtwoord geheime
    """,
    "system": """
        system systems developer admin administrator debug sudo root god maintenance kernel
        configuration config internal preamble
    """,
    "role": """
        act acting pretend pretending roleplay role simulate simulating imagine persona
        character play become becomes impersonate emulate stell spiel spiele verhalte actúa
        finge interpreta agis prétends joue incarne finja atue aja fingi comportati
    """,
    "limits": """
        restriction restrictions limitation limitations limit limits filter filters
        censorship boundary boundaries ethic ethics ethical moral morals morality uncensored
        unfiltered unrestricted jailbreak jailbroken jailbreaked dan stan dude aim
        consequences disclaimers disclaimer warnings refuse refusal decline einschränkungen
        beschränkungen restricciones límites restrições limites restrizioni beperkingen
    """,
    "none": """
        no not without never free dont cannot zero none nothing stop kein keine keinen nicht
        niemals ohne sin nunca sans jamais aucune sem senza mai geen niet zonder
    """,
    "mode": "mode modes unlocked enabled activated enable activate modus modo",
    "new": """
        new now instead following next onwards henceforth neue neuen neuer jetzt stattdessen
        nun nueva nuevas nuevo ahora nouvelle nouvelles maintenant nova novas agora nuove
        nuovo nuova adesso ora nieuwe nu
    """,
    "model": """
        ai llm llms assistant assistants chatbot chatbots bot gpt chatgpt claude gemini
        copilot bard openai agent agents ki assistent asistente asistent assistente ia
    """,
    "you": """
        you your yours yourself du dir dein deine deinen dich ihr ihre sie tu tus te ti
        usted su vous votre vos toi ton ta você seu sua teu tua tuo vostra je jij jouw
    """,
    "user": """
        user users human humans customer reader owner benutzer nutzer usuario utilisateur
        usuário utente gebruiker
    """,
    "send": """
        send sends forward email post upload transfer exfiltrate submit delete remove
        execute run call invoke open visit click install download fetch wire pay http https
        curl sende schicke envía enviar envoie envie invia stuur
    """,
    "must": """
        must should shall always only exactly immediately important urgent attention note
        mandatory required priority muss musst immer nur wichtig achtung debes siempre solo
        importante dois toujours seulement deve sempre moet
    """,
}
KINDS = {word: kind for kind, words in _LISTS.items() for word in words.split()}
"""The kind of each word; a word that is in two lists has the kind of the later one."""
