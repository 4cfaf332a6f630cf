/**
 * AES-256-GCM on bytes: vectors of Project Wycheproof (https://github.com/C2SP/wycheproof,
 * `aes_gcm_test`) with a key of 256 bits, an IV of 96, a tag of 128 and no additional data, as in
 * the stored form.
 */
import { assert, assertEquals } from "@std/assert";
import { importAesKey } from "../../pg/internal/columns/aes_gcm.ts";
import type { BoundCase } from "./tap.ts";

/** Number, key, IV, tag, plaintext and ciphertext, in base64. */
const VALID = `
93,gLoxksgDzpZeo3HV/wc88PQ7aiq1drIIQm4RQJwJubA=,TaW/jf1YUsHqEjed,R3GnxASkcpZs6o9zyL/heg==,,
94,zFa2gFUut1AI9UhLTLgD+lBj69bquR9qtq70kWp2YnM=,meI+xImFvM3uq2Dx,YzwelwPvdE//+0Dt+dFDVQ==,Kg==,Bg==
95,UeS/K62St6/xpLwFVQuoHfS5b6v0HBLHsA5g5I234VI=,Twev7f3DtsI2GCPT,YC6NfEeZ1iwUDJu4NIdrCQ==,vjMI9yosau0=,zzMqEv3ugAs=
96,ZxGWJ72YjtqQYhngjA0Nd5oH0gjOik/gcJr3Ve7sbcs=,aKt/2/YZAdrUYdI8,7ASqy3FIqLi+RMt+r076aQ==,UfjB9zHqFKzbIQptlz4H,Q/wQG/9LMr+t09r1elkO
97,WdTq+03gz8fT25mo9UsV17OfCsyNppdjsBnBaZ+HZ0o=,L8sbOKmecbhHQK2b,KHUsIBUwkoGPq6KjNGQNbg==,VJs2WvkT87CBExzLa4JViA==,9YwWaQEi11NWkH/Za1cPyg==
98,OyRY2BduFiHAzCTAwOJMHoDXL37pFJpLFmF2YpYW0BE=,Raqj5dFtLULcA0Rd,LXN57B21lS1OldMMNAsbHQ==,P/FRSxxQORWRjwwMMQlKbh8=,c6a29F9szFEx4H8sqh8uL1Y=
99,AhKo3lAH7YezPxpwkLYRT54Izv2WB/LCdr3P28XOnNc=,5rGt8v1YqHYsZfMb,c1X95ZkAZxUFOBPOaWI3qA==,EPHs+cYFhGZdmuXv4nnn9zd+6mkW0rER,CEP/9S2TT8egcepiwL01HOhWeM3j6iye
104,bvypgSaRirVk2Ixr7ALomYsr5Q4/kG/5rf3RhfNz51Y=,Sr1s/IO9BrEe+qKn,J6yMQBDY6BtwUc6wazD+LQ==,u+x5wIbUHmAtCQ9+QElNa/P6odxt8KuKiOpdNdQmskjCrYgDUeIj9hcNN8yWVeEEWeWcvW0cCS7THXLMx68g,l7THOk2LWyG8S1Dbtw36d7Gnvwu+fPFuz1u2C6gHCsxXQHgENe0UWmKmE92YgbchFo+7P1rzhe5dT4Vs+Ty6
105,Wx0QNcCxfuCwREdn+AoluMG3QfS1Ck0wUiJrqhxvtwE=,1hBAoxPtSSgjzAZb,8VYS9sQPLg223Hb8SCL8/g==,0JaAMYG+754Aj/hdXdw43azw8J7l9+B/HkB5y2TQ3I9eZxHNSSGniH3nbiZ4/cZ2GPEYVYa/6p1MaF1Q5Luagg==,x9GRtgH4bCi2ob3vale09u465Be8Elw4HN8cTawYTtHYTxGWIG1iytESsDiEVyDgLAYReaiDbwK5P6cAg3mmvw==
106,gbayfl7ZCrmf5nVtTLQePwcmlof1r6vbQm4pCWteRGY=,E+cnSGAxzKIfczN1,dOIKk4AvQ0B8iYmjfwE4Ag==,mpWiPPseNdiadZdXDfD7Dvy7dCn1O+vLv6SfokeyUahQitSXBmhV0IaIV2GI5P+xLR0ITcq+w9V4BtryFdzJft0=,ft5zaLyjyT2fHX93UNbkSxy5LDDjyYNLC2nv0kcJEWRK5vbXVxXhOuqHgfjaYRoTrGNkxAbBpxW36XrLIrbmFW4=
107,6h1Db2NZyuwBB4n6lP4IsWfD5JfYkXKC9HrSqPlf0PE=,c/4CIgJ2evg04yEm,+aDrpROQTEpxaNdiAA80vg==,rfm231xcyUc+C7V5+aaq05b5PSi/g+mBNvl4z7nVAdCe93jBIrQ8h2wi5A10pI2QiXhGWga+noCJFxDIwmkKdivJ64vLKqJwfbFJq6+5wXwfC2jHrc6piuv0xqOeWo9pMTPqqluws3CHINe4ZCQQG61WqhkMZ9Jf41pKNOH0/Q==,LmsZUg2ckeQfUjv9gMs9V333YoebBKWGuGUoC6xlEQL6YBZLhYb5HAKyFRzC/Sn0xukoOc3Yc74SwUQxQfi8uHVJZa7HwIKfs5HlZWO6duiW7IGTK177rSO7ll67+Nj9qY+cvUjzeyxG22CeQHaCZsKzangQ0reRM/N30Dd7QQ==
108,163dOIn634yJPu4Uuit+pb9WtEmQSGlhW9BdXxFM83c=,ijrSayjNE7plBOJg,XmM3S1GebDYIMhlD15DPmg==,yHena/WVVgdyFnxuO8xwUwXbnG/L65D0/qhRFgOLxTw/pbS06g3lzFNPvhz5rkSCTGwsClyIW9jDzckG8SZ1c35DS5g+HiMaUqJ121+xoMrGoHs7fcsZSCpdOwapMXpUgmzqazb85FL6m1R14qryVJlJnYqJMqGeuYfJA72FAv4=,U8yMkgqF0azLiGNtCLvkhpv92W9Dey7JRFEhc6nA/npH+ENBM5ibp33aVht+NwG5qDw7p2YMZmuln++WWY62IVRMY4BtUJrEdpdBL5Vk6wouH3L2WZ9WZq80z/ygZXP/tPR7AvWfIcZDY9rsuXe0QV8Z/do8mq5QZqV7Zp/6olc=
109,f3xYBKaA9hkklmcl26KoDYUmfC4Dx8I0sEWyTsjiNSg=,LZv4tjbzN9JlsJBM,dT9sV8DMKgdeaNCC9ug1kA==,4vhfsXaEDDg0XaDw+Nts28RaEjFl8kT/U4n+Zb80H6ExEwdRtcc5qZMdWlexQdx7WwxaLKBzMcLcBLJlewKJh43qDvfVYBRlt4pleV8PMYEwTliiYf6x05TzwzyrrhiZQXVddlS7e+8IwxvSxc4SA+68AVrgQNoqhRwro8YuaZNW,1zgNELIsOuWEUx6eTuc9OH9p27s9PZ/bSXHtJ1CzGRP3nkwAzxt2kzu7ddOdimQpolKOm9YOZfpv//ngGodY57WECfo/NwzDKmOqYKVMNtcz6PbfzNXDEg0FxuMxQMAFYoZVMrLGid6Ydp0zhuejrmeeQE4GJTbKBGJhIRpCb7WG
110,Aeda6APTBF5rKLf2eTfu4tjZj3e0iS1Iqx8V9X+oi74=,aQLo8O8ensYKPkbw,DJK7UpHpgb9WIpOHf03bXw==,Mt3jubxnH60SZbJsrT2N0PCZE09nVfmGEwJOG9ENqaYrrQGpl/lzEB6FXuHH5g5raqHfnYD6Vn0MzKD5VmgL527TfHH97e9WDiUj6MX9uVFiUAFzBPj/QWubjl0XwfBi3tRhbqnUYu1soN/dufUpW3oSfAgl/6tW6kmDwB7shn+T4koYvkjOtUCYbFMBBP1GYxjrgS60L9BDVWFfklA+U3mXQs3HGDDqpEruyRS2/xy7T2+Bq1lQeDMdZFyNCDtGlzEXSnBrFmbl5FDLYmcQZwMqVm9Ze5hmtxUUpAnjj8q+hElkWBs6tRUmlrduSazmZYHSH1EuKOB3xElIplJg,YyPdv56wRjcU1YV9GEGp9lUpUWwvQSlWvINfTyUtIqLOdD8hdn/LKIWYgrVwygU5cLcuhvRR/wx36H86A8BTazhZOU/OMkRCrBl4dPgaLOZJuZ/rRC4jEj96s2HSzmdoobrbMMUJ55vuknfTePrapk534m9ybfhhEFJlMM1DlCmwF64rzsjMJPmU9Yhainb6tjOccFTfdqpvRQGTpjXSHSL3HxrmhWA25squ7YhAu/vII2wlox53XLpfbhify8PpaXDKU3j9XCmnEvXcF2Qa2Iq1ZtjHj/8btX+bL3yduDi0MHxj4Epz0++BIfSJMuwxjf+urVioOn95vEShWHmQ
111,3E2/gR+VCeM6RaigdD6Tkd4zP2nFbuTw/pDOIcI47lk=,GFnTukcQzdMAuqAp,FwkM5Q41JEpZuvyA66Xa5Q==,35HEhZH0yujE1lnQJN/Qo1NZgUh3ZL8ZsBJxPmrG1XiqCzpR16yXzVA/3IaCyr22pSVumJBFg1bzm5dJ9qsVgRL75PkazTM0d5mLnw18wL4tQKz6UQOtwbDQpcyUcz1wPg2MJuCenQefpqZc81JAoWKAgmq3wNisWILInlhEQjPC9gqq4MvRp+2FAGUkKpN4w0AjL9hvH9UqkslgqahvUp9DGs86qUEzeFgD9KwaIjeDMtqiLeo9NNL9t8MI+kSrk7P7AvQoviL61sCxDBOK+XuSoZkpbdlHyT+8QGdMNMViPSbZyQ3GszVwGLn5JQ+03VwRUYGRojZ0WivUL4Y3Zg==,nFEdCPJEy2lxo5twY5xKU65IJU/LPS7qR5bsyZbx/iao4wkyJYpI/kI35b+w4TINxZElbcg81W2/XZs3e3gFt/rASXsvmeMxDp4syACRQagvJvigIpnWQTi7H+ihJD3z6fs3tSvTwswZ9UOz9JKOWnNzCnpubXWRnRF9Pf4Q6GOphGssomDeXd26fOrDcBnmFbiaKrlN+NGnkHSZmMuFMf7x71+KKKitYOgT9+eEEspNlblgSiShbko8qO4zv7t4CQSAFJQ+X9eWan2yFOBS0cxUam2nLsidHDOYrv3LiB38PYALcyOrzXWD6cijHwO2mV1K6sF8WlbYr0kqKxCP4w==
112,MXujMTB/Oj09gu4f2rcPYqFVrxTa9jEwemGxh9QT5TM=,pmh89Qg1axdGJd6q,vwVA00sg92EQG8YIsCRY8g==,MsHQkQfFmdPM5OeCF5yWbG75Y2idRTUdvg9viB2yc+VNt2/Ej9xdMPCJ2oODAaX5JLujwEThmz7VqmvocRhVQATKMOAyQzfZh4OUEr+Pi73VNyBdSw4hIOllNzI11svS+zd2ugo4TsHZt8YxoDef+ZfD+XSm97v0/SMBYhH1/BCsrbXkANL/D9/Rk/XG/G1PcnHf0TSe2A++2uuxVbmwL7MHRJXVX5okVfWb9vETGRoCnGsLp12XzcDITxMYNjN/KfnZbKRI7sDMRtHKizc1Zhl52DMC/sCP/89eWPErHnBQZXsbl8ZKTgfjF/VU+DELbMtJ821IxXgW0klSqtpxHU8=,1+68lYeqIRNvo4tBzw4tsDp+orqerd+D0z94EJNhe/UPSbK/4vcXOxE5EuLhd19A7f7Ys7AJm54cIg3RA75hZiELAQKf6yTtniBhTt3Dzr5BsAeamowRe1lskCiO/9N5b70Mfo6rAGCaZL462Vl82/OoGMJgzZOL3yMuQFmuNaJXGoOIh/wZaRIXlIbgRqYiJ6TK3c44y7w3WHu5Q57GN2AraBjFy+PHGnxBQ5YFM9x0F0vTFcjbIntptVu3/DC6HVITp1LsM5JQQ877waYpQ+5fNNXaAXmeaQlNcyrvUvjgNpgNAHDiLhc8Z8S7zKYcwe7b1gFlFsWSFEgZ3xMgTe4=
113,T2Llb3sVA19CeElxS+uX5qz4g3Hh9ps4gSm7RHJz1rg=,E31cmKkvbc7k8p18,eeZMTA6Ls6IUlVWE0ryLFg==,oUe3FrhqyNrHRH1bpg7opBkdLGSjqgQnau5799yCSWLAms4gp+YUzJ4Xe1sRgZuPFwCKlAjozYuzS0Ab41No9JLBdim2RnKZv9LsTZp/F96m+coITocft/x4wr8pm4EFIgYnJsXK4UuDlyLs/0maKz8IK20b/tt1L4Sk53RZySaNYxmTFTY+mqo5vqf7vMYKXu3IoamCrW+mfClbky6zmZBH4KmbOCMDK2s7fExVOXCvylDLTlzoWcJcWY62ggBfF67FUm4mSTIISDZ5ojzO9vdAOj8wVa/9Uxoct9GDiS3Vd9Um6NqKqLi5gKNuF2uNkpPnhawBvdTayM+NvdgpJvHjFAgoT7OqAfRBSseqeDLS7ALdLbm2tLYdjBy7MdrHtq+o0Itod+Q5YAxKb8B1EYd98unOOpU4pyYAKkbAg9mBJLGFcw87KuoqActia+gJ+HsqwQBRHFuPoOnUDJyZnqCqh6rQjPtiwbqGkXi+mGFW92ItjEitgKVS6dCMNmca4jLv78hhnFYucV8ErlLbKtjkoJ6MZxsSKJVYEX+VYtUb61nimxDdnrIy6PzbHP3RSJms1pPeFKfAdqRlY4biOwZBWyx6k7FmytEEi8YFpJp53zwDozgN5opPAT4F5Sg3RdQHjr4wjciIHO1i7Vcak8aeiq5uUfXmHk/3VpmqMg==,sZTmyPg+CVFdTqlcAFeP2u6PnTWtCaVguoGlGszElBZZhRbHR+FtvFxEv9XHkLpZtHpvVzpDsmzbskAjCx3KAER3cMTPZH3yp57KP0qLLeCPn7xEicMPa8/NCW8apBd/ooEkjo4Z4up9HwSbcFOUejpn6UbrvtZ0ZuAJtj3rzrpUzIgeVeLWjz9YQ4DW+3sOmj/b1wmtrDpH1vml/K8DIY4YzKWnoONAp3TNXDnXAxtjtbW4luHnBbTe0JnDwRFQc4shB/YfFCP7cu0KFgcM1vihiukLFntwfCPdyFobb/Wj7F5lSxRGxurnh8MalLyatTdt/qMb+N+9q85Fx1ARGUbmTCLSPEbX72RMoCxpIF1ZsYFaam6LFP5+LYrRf8deZWcGtn8ldSPVF9n4uDFQqINZ5W1kMoWfj5DqunDPkPhpla/IXDOZJZFTa6NTrhSmky3Jatcmh6w0wtTVyS5R2iRvVXeF3xlE0sPINTZzm32Edbo5xjnfTOaYWcb/uemUVFaZo6GdU5eb+jT97IVqnxKscL3qzxcnIUltdtgHOnboFg2Z9LdGbgWo8AbLRI0q9+4wjKGUQKrKCPNEItqDDkdiacgporW2Ss6k8RQ9GFfMJpnqO/LgdrFuUKkHHPFTUhie3yeJhBAuvMdR1GUQuBavr9s/6jen1JZi/wkDkg==
114,aq2oKLInP/uB3HlKhinjBctkb50mYAK9MTQn04SDh2c=,AN6kUFzVOW9rpAil,j7pI2rGKS+rd/yQlLmIIOg==,HZnuAi+Vdu1pr4p/OUU2KrDEaRpNMzo/X4XPjX23+4oGm0iZjPKG/6RhXoc5jDw8EpXVvuJyvetRZkcKiSP3t53JKyqX3jS6h9spB6yE+yPTjy4a+DX3N0iPwE+scEMtOgsCpHL4UQJYA6rGkicyc+J74d2WeaTWJpl8NjunBqfbH0zcB/48Z/vsCqhhkDjgVgfZWl3cS0A81tq8QXkK22zXbq6sNJHDzWqHh+DynAQrTir+mHZ0uUle9Vdoxpa8bD3xwemnwEVvR4oaHMTDqbDyzTtC240LaqNt/sPSwI0TmO63XbYa6QLS2loe+seQS4rjKvH/lCyZdpUEu1xW9YGeT4mei7rP1GgtgvQeF5qd35oIIMxDFvJS0dNVl67aQ6uHCIfmeqvnnwRrA6moNYiZQFige67bu/nAHYM3Mu+sia6Bc/kC6DHVedMeSkCc715JSie7Y2foT8V2QgSORNaHznPdnnE4QYKyYtY6cVaYEy8hj8LDYR7Q2/gUeZhmyMQ7SqfBO1pT+aM3Yn12u5YPYPqJHwB2pTjDllAM79LdHk4CT52DJ1+bLAzm30G7ZIg5j8ZX26Dv2uABndMbAyJ+3FIpr/YM0IPA8LZmdbqvkcMgaBmgyYW8MoNgDp5tYsb6ssau/WmCnHUGPFStESaaxexWPs2HDCr0zebOxD4=,dXUKFDiHrXY8Ewpjfl11/HtTmZ6KCFp0pcfk4mWNA1hvNt1nvdBiKZL8RAgi5jU0ORpDXJNPp/oZ9RlmlVE6yBLneJKKZ3rzeovDahm346sF4YVCmqXl4Xys3Ylx48VR24PFhTJCd4Q8F4N3E3koDROT7rJunn/3AG1De3yw/jc7LcMjjYe6357ddnrXtHJqd3uZzR0R8bwWCYsSMKGUvZQ1yqBzAnbrwMRKkj46FHUeElqnEAy9aCIC+acb8I4orjb1XG/OmYpMR03VpdVdJa7zMsO0ZA4gsiK3MF38IfYOn13ZfBmHEgugt7foXOgQ83jUAZh7gkZ5/+Rcyt6J5e1FF2urnUoUxadT0y4ROiq6Xf5lrHWRiv7WyyEizySXH6uTK2ThBKigHHVbT7hq/UnQzhoZCRklUfV5w1h9GmG6WwQVz5DVcjIK87DF1dZy1CByKOdTIv/7YhIA/LU9lw9qdOBr2Q2PmhzyPIfAfesURW3CHYS49spFuMOvbW1cEQSIyRlhfBFsJbrvSnoNR6SyR8lEQBdt1UoBTWOaYTnYNJilhbVofOqFnbsyuFJpDE3NI65AWEmO51GuyK/zsPHw79S7UGNtEYLhEaapj5Xy1V+PTnXBropV6FHFCVvNnRrYb8ebC/mtL1gpOmJMJQSzBGn37RxkVUnTcXffzZU=
115,r9V5qhrMxoKspU4UKqad8JgC8CCySkLEHbWPaZftxng=,n3nR2pV0kQadd0SW,MrJ2/Qwdp6gjpa8HSuystQ==,uvxuhlxIvTS3+TKeNc+yhs1Nwx+DFhcSGL8Ecd/9NaMwoYFpfKUXhojdh+/lJ5JPkNHHi6QN5wlS/0TCbv4hWeWTWPOTFXPfk3OnO5G6lZLhIUDMAJ/u3SWV5bbwZrXvbemdTDFVLOywYU8dzpkORudpQ4LzzzzPzR6mLlY+Xw3DbLWoTgwLPx+PP6kQD0hxlf8uMWmtCBNqqK1WZUjJg2qgDbrHRxbCboOMFIagCE09/WklheLlrnx1yvDnr2Ahn5YRauljtKWJnLMKEg2qyngzd2aSwlrXwYXmotcM4D/xVs0l12FTU51oVXc+IRQvm6AxNWKHXxBaK3cKFbUz+/URDa+2kymYKrRO0bnzIde3muFaGdnzvUxQTCSyO4EtUUwZrio0fMGMEs6RWgutfMiahyDUul7glk/gXkzFmhP5LGcLhlUHHiFvGa0F9LvMptx/7rGI1iacWAZcmPy7rBg6mrs4EdgMtHZUS9dLJpkfPfmH8O0OpiOGWawJoiUP7MByP/xRZHt0vfRU8m4RESyLvXl/CaO+glHGtbMZ7ZU3J4zBq+2zKqEIQJhLluhjayiTNYRq5PvUoA9mANmOviWIXGjXBDzg3FIp1+m9Ub6puP4FUvQGiEKcSCYpztYj9gdIWBR+c9o/9K0q5FwaHIpsWzssPVaKdWYIF59jtYD9,zUimlSho9/fIlBZS9kGLN025r9S+F5qUjTNroNgEOK+JWiHyaDZPscXGRy9nvUy35GQGj+RDd/t89JhbhCigaPWhgJSYIo+o2AU2UGh6+56/Oxm0PDjlaEXpNQGYrgUR77p+qL+BWaCPcuQifsUNpbKduxj78TzSLhOXjvsEsCuhpLKxrhcbYSkp1nctlYrzjT37LBFoSpB9kLeGtGrklO0cnaSGzHtUvZzy00vjTdEwE71y4G/a0X7xQ9W4V4BN5KVkCaNaQSj9dSRA/sArkwTOzOG8Z2DW+wOXvRYJ/zA8mg6jvFzBFILwg7ZHHy4B09me4jw1w3piE12c7Jxp4FNShEjYE6/aB/vUBux04N8tGCK79iU5Ki2RzDnYXG3oukPlt88OwuSg4Yg38EsoTWzmJ3u5HanAwzhb8FcBgd7u084jToaLLEB6Kn2NUWuDzYa4RMI6rzvs6UofhDAHzNi8KFng1kuhYUwnIbu2ajpA4/VVorN+B/sVsRb2kVakJg8esZ2BQLwq0/n9ZmrjWBTi/Rz+F4lR9eEMuFSV5GV3O0JIvvnneB5KP7bK8vRBgN5C9L/zdy8+h9gSnbdwxeipU+WjQsiF6hzUWpeHkhKM5CDmMkX/Chuwcwp6UGdx4qk4dOPx7pup/Ar5ag000iLSmuvXkUFvOZBSrbKVw8Q8
128,ABEiM0RVZneImaq7zN3u/xAhMkNUZXaHmKm6y9zt/g8=,AAAAAAAAAAAAAAAA,/////////////////////w==,VhAI+gemj1xhKFzQE0ZOrw==,Iyk+mwfKfRsMrnzEialzsw==
129,ABEiM0RVZneImaq7zN3u/xAhMkNUZXaHmKm6y9zt/g8=,////////////////,AAAAAAAAAAAAAAAAAAAAAA==,xhUiRM6hl40+C8J0z4wLOw==,fLb8fGq8AJ7+lVGpnzakIQ==
`;

/** Numbers 130 to 156: one ciphertext with tags that do not match it. */
const FORGED = {
  key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
  iv: "UFFSU1RVVldYWVpb",
  plaintext: "ICEiIyQlJicoKSorLC0uLw==",
  ciphertext: "sgYUV8B1n8F0nxdO4cyt+g==",
  tags: `
nej+9tirG/G/iHIy6rWQ3Q== nuj+9tirG/G/iHIy6rWQ3Q== HOj+9tirG/G/iHIy6rWQ3Q==
nOn+9tirG/G/iHIy6rWQ3Q== nOj+dtirG/G/iHIy6rWQ3Q== nOj+9tmrG/G/iHIy6rWQ3Q==
nOj+9tqrG/G/iHIy6rWQ3Q== nOj+9tirG3G/iHIy6rWQ3Q== nOj+9tirG/G+iHIy6rWQ3Q==
nOj+9tirG/E/iHIy6rWQ3Q== nOj+9tirG/G/qHIy6rWQ3Q== nOj+9tirG/G/iHMy6rWQ3Q==
nOj+9tirG/G/iHIy67WQ3Q== nOj+9tirG/G/iHIy6LWQ3Q== nOj+9tirG/G/iHIyarWQ3Q==
nOj+9tirG/G/iHIy6rWQ3A== nOj+9tirG/G/iHIy6rWQ3w== nOj+9tirG/G/iHIy6rWQnQ==
nOj+9tirG/G/iHIy6rWQXQ== nej+9tirG/G+iHIy6rWQ3Q== nOj+dtirG3G/iHIy6rWQ3Q==
nOj+9tirG3G/iHIy6rWQXQ== YxcBCSdU5A5Ad43NFUpvIg== AAAAAAAAAAAAAAAAAAAAAA==
/////////////////////w== HGh+dlgrm3E/CPKyajUQXQ== nen/99mqGvC+iXMz67SR3A==
`,
};

const bytes = (base64: string) => Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));

/** Some bytes are in Node's own class. */
const list = (bytes: Uint8Array) => Array.from(bytes);

const vectors = VALID.trim().split("\n").map((text) => {
  const [number, ...parts] = text.split(",");
  const [key, iv, tag, plaintext, ciphertext] = parts.map(bytes);
  return { number, key: key!, iv: iv!, tag: tag!, plaintext: plaintext!, ciphertext: ciphertext! };
});

/** A key's implementations: both, or only the one that exists everywhere. */
async function insides(key: Uint8Array<ArrayBuffer>, native: boolean) {
  const { web, node } = await importAesKey(key);
  assertEquals(node !== undefined, native);
  return node ? [web, node] : [web];
}

/** @param native Whether the runtime must have a synchronous AES. */
export const aesGcm = (native: boolean): readonly BoundCase[] => [
  {
    name: "the valid vectors of Wycheproof",
    async run() {
      assertEquals(vectors.length, 21);
      for (const { number, key, iv, plaintext, ciphertext, tag } of vectors) {
        for (const aes of await insides(key, native)) {
          const sealed = await aes.seal(iv, plaintext);
          assertEquals([sealed.ciphertext, sealed.tag].map(list), [ciphertext, tag].map(list));
          const opened = await aes.open({ iv, ciphertext, tag });
          assertEquals(list(opened!), list(plaintext), number);
        }
      }
    },
  },
  {
    name: "the vectors of Wycheproof with a forged tag",
    async run() {
      const tags = FORGED.tags.trim().split(/\s/).map(bytes);
      assertEquals(tags.length, 27);
      const [iv, plaintext] = [bytes(FORGED.iv), bytes(FORGED.plaintext)];
      for (const aes of await insides(bytes(FORGED.key), native)) {
        const sealed = await aes.seal(iv, plaintext);
        assertEquals(list(sealed.ciphertext), list(bytes(FORGED.ciphertext)));
        assertEquals(list((await aes.open(sealed))!), list(plaintext));
        for (const tag of tags) {
          assert(tag.some((byte, index) => byte !== sealed.tag[index]));
          assertEquals(await aes.open({ ...sealed, tag }), undefined);
        }
      }
    },
  },
];
